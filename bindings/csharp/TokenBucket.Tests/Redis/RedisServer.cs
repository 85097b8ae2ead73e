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
        Environment.GetEnvironmentVariable("PATH")!.Split(':').Any(folder => File.Exists(folder + "/redis-server"))
            ? null : "redis-server is not installed";

    private const int LongMs = 10_000;

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

    // The script is not run until Resume.
    public void Pause() => Command("CLIENT", "PAUSE", "60000", "WRITE");

    public void Resume()
    {
        using Socket other = Open();
        other.Send("CLIENT UNPAUSE\r\n"u8);
        Assert.Equal("+OK\r\n".Length, other.Receive(new byte[16]));
    }

    // One more connection.
    public ConnectionMultiplexer Connect(int syncTimeoutMs)
    {
        _ = _connection.Value;
        return ConnectTo(Path, syncTimeoutMs);
    }

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
        }
        if (_process is not null)
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }
        _folder.Delete(recursive: true);
    }

    private string Path => _folder.FullName + "/s";

    private ConnectionMultiplexer Start()
    {
        _process = Process.Start(new ProcessStartInfo("redis-server",
            [
                "--port", "0", "--unixsocket", Path, "--save", "", "--appendonly", "no", "--dir", _folder.FullName,
                "--logfile", _folder.FullName + "/log",
            ]));
        Assert.True(SpinWait.SpinUntil(() => Answers(), Buckets.Patience), "redis-server does not answer");
        return ConnectTo(Path, LongMs);
    }

    private static ConnectionMultiplexer ConnectTo(string path, int syncTimeoutMs) =>
        ConnectionMultiplexer.Connect(new ConfigurationOptions
        {
            EndPoints = { new UnixDomainSocketEndPoint(path) }, AllowAdmin = true, BacklogPolicy = BacklogPolicy.FailFast,
            SyncTimeout = syncTimeoutMs, AsyncTimeout = LongMs, ConnectTimeout = LongMs,
        });

    private Socket Open()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(Path));
        return socket;
    }

    private bool Answers()
    {
        Thread.Sleep(5);
        try
        {
            Open().Dispose();
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
