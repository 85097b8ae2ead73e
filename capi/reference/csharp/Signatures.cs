// How members are written in C#, and in the names of XML documentation.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;

namespace Reference;

internal static class Signatures
{
    private static readonly Dictionary<string, string> Keywords = new()
    {
        ["Void"] = "void", ["Boolean"] = "bool", ["Byte"] = "byte", ["Int32"] = "int", ["Int64"] = "long", ["UInt64"] = "ulong",
        ["Double"] = "double", ["String"] = "string", ["Object"] = "object",
    };

    public static string Name(Type type)
    {
        if (type.IsByRef) { return Name(type.GetElementType()!); }
        if (type.IsArray) { return Name(type.GetElementType()!) + "[]"; }
        if (Nullable.GetUnderlyingType(type) is { } value) { return Name(value) + "?"; }
        string name = type.Name.Split('`')[0];
        if (type.IsGenericParameter) { return name; }
        if (type.IsGenericType) { return $"{name}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>"; }
        return type.Namespace == "System" ? Keywords.GetValueOrDefault(name, name) : name;
    }

    /// <summary>As the compiler names it, such as M:TokenBucket.Bucket.Allow(System.Double).</summary>
    public static string Id(MemberInfo member) => member switch
    {
        Type type => "T:" + Whole(type),
        MethodBase method => "M:" + Owner(method) + MethodName(method) + Parameters(method.GetParameters())
            + (method.Name is "op_Implicit" or "op_Explicit" ? "~" + Reference(((MethodInfo)method).ReturnType) : ""),
        PropertyInfo property => "P:" + Owner(property) + property.Name + Parameters(property.GetIndexParameters()),
        EventInfo => "E:" + Owner(member) + member.Name,
        _ => "F:" + Owner(member) + member.Name,
    };

    public static string Declaration(MemberInfo member) => member switch
    {
        Type type => Kind(type) + " " + Name(type) + Bases(type),
        ConstructorInfo constructor => Name(constructor.DeclaringType!) + Listed(constructor.GetParameters(), "(", ")"),
        MethodInfo method => Static(method) + Name(method.ReturnType) + " " + Readable(method) + Listed(method.GetParameters(), "(", ")"),
        PropertyInfo property => Static(property.GetMethod ?? property.SetMethod!) + Name(property.PropertyType) + " "
            + (property.GetIndexParameters().Length > 0 ? "this" + Listed(property.GetIndexParameters(), "[", "]") : property.Name)
            + (property.CanRead ? " { get; " : " { ") + (property.SetMethod is { IsPublic: true } ? "set; }" : "}"),
        EventInfo raised => "event " + Name(raised.EventHandlerType!) + " " + raised.Name,
        FieldInfo field => field.DeclaringType!.IsEnum ? $"{field.Name} = {field.GetRawConstantValue()}"
            : (field.IsLiteral ? "const " : field.IsStatic ? "static readonly " : "") + Name(field.FieldType) + " " + field.Name,
        _ => member.Name,
    };

    private static string Kind(Type type) =>
        type.IsEnum ? "enum" : type.IsInterface ? "interface" : typeof(Delegate).IsAssignableFrom(type) ? "delegate"
        : type.IsValueType ? "struct" : type is { IsAbstract: true, IsSealed: true } ? "static class"
        : type.IsSealed ? "sealed class" : type.IsAbstract ? "abstract class" : "class";

    private static string Bases(Type type)
    {
        if (type.IsEnum || type.IsValueType) { return ""; }
        var bases = new[] { type.BaseType }.Where(b => b != null && b != typeof(object)).Select(b => b!).Concat(type.GetInterfaces());
        string names = string.Join(", ", bases.Select(Name));
        return names.Length > 0 ? " : " + names : "";
    }

    private static string Static(MethodBase method) => method.IsStatic ? "static " : "";

    private static string Readable(MethodInfo method) =>
        (method.Name.StartsWith("op_", StringComparison.Ordinal) ? "operator " + method.Name[3..] : method.Name)
        + (method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Name))}>" : "");

    private static string Listed(ParameterInfo[] parameters, string open, string close) =>
        open + string.Join(", ", parameters.Select(p => (p.IsOut ? "out " : p.IsIn ? "in " : p.ParameterType.IsByRef ? "ref " : "")
            + Name(p.ParameterType) + " " + p.Name + Default(p))) + close;

    private static string Default(ParameterInfo p) =>
        !p.HasDefaultValue ? "" : p.DefaultValue switch
        {
            null => p.ParameterType.IsValueType ? " = default" : " = null",
            bool flag => flag ? " = true" : " = false",
            string text => $" = \"{text}\"",
            var value => $" = {value}",
        };

    private static string Owner(MemberInfo member) => Whole(member.DeclaringType!) + ".";

    private static string Whole(Type type) => (type.IsGenericType ? type.GetGenericTypeDefinition() : type).FullName!.Replace('+', '.');

    private static string MethodName(MethodBase method) =>
        method.IsConstructor ? "#ctor" : method.IsGenericMethod ? $"{method.Name}``{method.GetGenericArguments().Length}" : method.Name;

    private static string Parameters(ParameterInfo[] parameters) =>
        parameters.Length == 0 ? "" : $"({string.Join(",", parameters.Select(p => Reference(p.ParameterType)))})";

    private static string Reference(Type type)
    {
        if (type.IsByRef) { return Reference(type.GetElementType()!) + "@"; }
        if (type.IsArray) { return Reference(type.GetElementType()!) + "[]"; }
        if (type.IsGenericParameter) { return (type.DeclaringMethod != null ? "``" : "`") + type.GenericParameterPosition; }
        if (!type.IsGenericType) { return Whole(type); }
        return Whole(type).Split('`')[0] + "{" + string.Join(",", type.GetGenericArguments().Select(Reference)) + "}";
    }
}
