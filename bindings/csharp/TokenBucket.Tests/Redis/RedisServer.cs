using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Threading;
using StackExchange.Redis;
using TokenBucket.Redis;
using Xunit;

namespace TokenBucket.Tests.Redis;

// A test that needs a server; skipped where there is none.
public sealed class RedisFactAttribute : FactAttribute
{
    public RedisFactAttribute() => Skip = RedisServer.Skipped;
}

public sealed class RedisTheoryAttribute : TheoryAttribute
{
    public RedisTheoryAttribute() => Skip = RedisServer.Skipped;
}

// A server in a temporary folder, without a port, and a connection to it. It starts when it is first asked for.
public sealed class RedisServer : IDisposable
{
    public static readonly string? Skipped =
        Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(Path.Combine(folder, "redis-server")))
            ? null : "redis-server is not installed";

    private readonly Lazy<ConnectionMultiplexer> _connection;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("tokenbucket-");
    private Process? _process;
    private int _names;

    public RedisServer() => _connection = new(Start);

    public IDatabase Database => _connection.Value.GetDatabase();

    // A key that no other test has.
    public string NewName() => $"{Interlocked.Increment(ref _names)}";

    // By default nothing comes in while a test runs: one token in 1000 s.
    public RedisLimit Limit(
        double capacity = 10, double tokens = 1, double period = 1000, double maxWait = 0, OnUnavailable instead = default,
        string? prefix = null) => new(Database, new RedisLimitOptions
        {
            Capacity = capacity, Tokens = tokens, Period = TimeSpan.FromSeconds(period),
            MaxWait = TimeSpan.FromSeconds(maxWait), OnUnavailable = instead, Prefix = prefix ?? $"tb:{NewName()}:",
        });

    public RedisResult Command(params object[] words) => Database.Execute((string)words[0], words[1..]);

    // How often a command was called, as the server counts.
    public long Calls(string command) => Command("INFO", "commandstats").ToString()!.Split('\n')
        .Where(line => line.StartsWith($"cmdstat_{command}:", StringComparison.Ordinal))
        .Select(line => long.Parse(line.Split('=', ',')[1], null)).SingleOrDefault();

    public void Kill()
    {
        _ = Database;
        _process!.Kill();
        _process.WaitForExit();
        Assert.True(SpinWait.SpinUntil(() => !_connection.Value.IsConnected, Buckets.Patience));
    }

    public void Dispose()
    {
        if (_connection.IsValueCreated)
        {
            _connection.Value.Dispose();
            _process!.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }
        _folder.Delete(recursive: true);
    }

    private ConnectionMultiplexer Start()
    {
        string socket = Path.Combine(_folder.FullName, "s");
        _process = Process.Start(new ProcessStartInfo("redis-server",
            [
                "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", _folder.FullName,
                "--logfile", Path.Combine(_folder.FullName, "log"),
            ]));
        Assert.True(SpinWait.SpinUntil(() => Answers(socket), Buckets.Patience), "redis-server does not answer");
        return ConnectionMultiplexer.Connect(new ConfigurationOptions
        {
            EndPoints = { new UnixDomainSocketEndPoint(socket) }, AbortOnConnectFail = true, AllowAdmin = true,
            BacklogPolicy = BacklogPolicy.FailFast, SyncTimeout = 10_000, AsyncTimeout = 10_000,
        });
    }

    private static bool Answers(string path)
    {
        Thread.Sleep(5);
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}

[CollectionDefinition(Name)]
public sealed class SharedRedis : ICollectionFixture<RedisServer>
{
    public const string Name = "one server of Redis";
}
