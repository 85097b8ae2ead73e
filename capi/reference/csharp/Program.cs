// Writes the documentation of the C# assemblies as one HTML page each, from what is public in them and the XML that the
// compiler made of their comments. Arguments: the folder for the pages. Without a summary a public name is an error.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Reference;

const BindingFlags Declared =
    BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
Assembly[] assemblies = [typeof(TokenBucket.Bucket).Assembly, typeof(TokenBucket.Redis.RedisLimit).Assembly];
var pages = new Dictionary<string, string>(); // of each public name
var missing = new List<string>();
foreach (Assembly assembly in assemblies)
{
    foreach (MemberInfo member in assembly.GetExportedTypes().SelectMany(type => Members(type).Prepend(type)))
    {
        pages[Signatures.Id(member)] = assembly.GetName().Name + ".html";
    }
}
foreach (Assembly assembly in assemblies)
{
    string name = assembly.GetName().Name!;
    XDocument xml = XDocument.Load(Path.ChangeExtension(assembly.Location, ".xml"));
    var comments = xml.Descendants("member").ToDictionary(m => m.Attribute("name")!.Value);
    File.WriteAllText(Path.Combine(args[0], name + ".html"), Page(name, assembly, comments));
}
if (missing.Count > 0)
{
    Console.Error.WriteLine("without a summary: " + string.Join(", ", missing));
    return 1;
}
return 0;

// Accessors are their property's, and what the compiler makes of a record or a delegate is nobody's.
static IEnumerable<MemberInfo> Members(Type type) =>
    typeof(Delegate).IsAssignableFrom(type) ? [] : type.GetMembers(Declared).Where(m =>
        m is not Type && m is not MethodInfo { IsSpecialName: true, Name: not ("op_Implicit" or "op_Explicit") }
        && !m.IsDefined(typeof(CompilerGeneratedAttribute)) && !(m is FieldInfo { IsSpecialName: true }) && !(m is ConstructorInfo c && c.GetParameters().Length == 0));

string Page(string name, Assembly assembly, Dictionary<string, XElement> comments)
{
    var types = assembly.GetExportedTypes().OrderBy(t => t.Name).ToList();
    var html = new StringBuilder($"""
        <!DOCTYPE html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{name}</title><link rel="stylesheet" href="../style.css"></head><body>
        <p><a href="../index.html">tokenbucket</a></p><h1>{name}</h1><ul>

        """);
    foreach (Type type in types) { html.AppendLine($"<li>{Link(Signatures.Id(type), Signatures.Name(type))}</li>"); }
    html.AppendLine("</ul>");
    foreach (Type type in types)
    {
        html.Append("<section>").Append(Entry(type, "h2", comments));
        foreach (MemberInfo member in Members(type)) { html.Append(Entry(member, "h3", comments)); }
        html.AppendLine("</section>");
    }
    return html.AppendLine("</body></html>").ToString();
}

string Entry(MemberInfo member, string heading, Dictionary<string, XElement> comments)
{
    string id = Signatures.Id(member);
    XElement? comment = Comment(member, comments);
    if (comment == null) { missing.Add(id); }
    string title = member is Type type ? Signatures.Name(type)
        : (member is ConstructorInfo ? Signatures.Name(member.DeclaringType!) : Signatures.Name(member.DeclaringType!) + "." + member.Name);
    var html = new StringBuilder($"<{heading} id=\"{Encoded(id)}\">{Encoded(title)}</{heading}>");
    html.AppendLine($"<pre>{Encoded(Signatures.Declaration(member))}</pre>");
    foreach (XElement part in comment?.Elements() ?? [])
    {
        string about = part.Name.LocalName switch
        {
            "param" or "typeparam" => $"<code>{part.Attribute("name")!.Value}</code>: ",
            "returns" or "value" => "Returns: ",
            "exception" => Link(part.Attribute("cref")!.Value, null) + ": ",
            _ => "",
        };
        html.AppendLine($"<p>{about}{Prose(part)}</p>");
    }
    return html.ToString();
}

// What inherits its comment has that of the member that it overrides or implements, here or in the framework.
XElement? Comment(MemberInfo member, Dictionary<string, XElement> comments)
{
    if (!comments.TryGetValue(Signatures.Id(member), out XElement? comment)) { return null; }
    if (comment.Element("inheritdoc") == null || member.DeclaringType == null) { return comment; }
    var from = new[] { member.DeclaringType.BaseType }.Concat(member.DeclaringType.GetInterfaces()).Where(t => t != null);
    foreach (MemberInfo same in from.SelectMany(t => t!.GetMember(member.Name)))
    {
        if (comments.TryGetValue(Signatures.Id(same), out XElement? inherited)) { return inherited; }
    }
    return new XElement("member", new XElement("summary", "As in the type that it comes from."));
}

string Prose(XNode node) => node switch
{
    XText text => Encoded(text.Value),
    XElement { Name.LocalName: "see" or "seealso" } e when e.Attribute("langword") is { } word => $"<code>{word.Value}</code>",
    XElement { Name.LocalName: "see" or "seealso" } e when e.Attribute("cref") is { } to => Link(to.Value, null),
    XElement { Name.LocalName: "paramref" or "typeparamref" } e => $"<code>{e.Attribute("name")!.Value}</code>",
    XElement { Name.LocalName: "c" } e => $"<code>{Encoded(e.Value)}</code>",
    XElement { Name.LocalName: "code" } e => $"</p><pre>{Encoded(Unindented(e.Value))}</pre><p>",
    XElement { Name.LocalName: "para" } e => "</p><p>" + string.Concat(e.Nodes().Select(Prose)),
    XElement e => string.Concat(e.Nodes().Select(Prose)),
    _ => "",
};

string Link(string id, string? text)
{
    string name = text ?? Regex.Replace(id[2..].Split('(')[0], @"^(TokenBucket|System)(\.\w+)*\.(?=\w+(\.\w+)?$)|`+\d+", "").Replace(".#ctor", "");
    return pages.TryGetValue(id, out string? page) ? $"<a href=\"{page}#{Encoded(id)}\">{Encoded(name)}</a>" : $"<code>{Encoded(name)}</code>";
}

static string Encoded(string text) => WebUtility.HtmlEncode(text);

static string Unindented(string code)
{
    string[] lines = code.Trim('\r', '\n').TrimEnd().Split('\n');
    int margin = lines.Where(l => l.Trim().Length > 0).Min(l => l.Length - l.TrimStart().Length);
    return string.Join('\n', lines.Select(l => l.Length > margin ? l[margin..] : ""));
}
