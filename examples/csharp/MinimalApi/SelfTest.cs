using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net.Http;
using System.Threading.Tasks;
using TokenBucket;

namespace MinimalApi;

// Load over HTTP from several clients at once. The limiters go by a clock that stands still until it is moved, so each
// answer can be foretold.
internal sealed class SelfTest(Uri server, ManualClock clock, MetricsPage metrics)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly HttpClient _http = new() { BaseAddress = server, Timeout = Patience };
    private bool _passed = true;

    internal async Task<bool> RunAsync()
    {
        Console.WriteLine($"{"requests",-42}{"200",6}{"429",6}  Retry-After");
        Row("alice: 30 at once, may have 20", 20, 10, "1", await SendAsync("/quote", "alice", 30));
        Row("bob: 5 at once, has his own", 5, 0, "", await SendAsync("/quote", "bob", 5));
        clock.Advance(TimeSpan.FromSeconds(1.5));
        Row("alice: 5 more, 1.5 s later at 2 a second", 3, 2, "1", await SendAsync("/quote", "alice", 5));
        await ReportAsync();
        // The middleware asks AttemptAcquire and then AcquireAsync: who is turned away was denied twice, who waits once.
        Counted("quote", granted: 28, denied: 2 * 12, waited: 0);
        Counted("report", granted: 5, denied: 2 * 3 + 3, waited: 3);
        return _passed;
    }

    // Two are served, three wait, three are turned away; then one is served each second.
    private async Task ReportAsync()
    {
        List<Task<HttpResponseMessage>> pending = [.. Enumerable.Range(0, 8).Select(_ => GetAsync("/report", "carol"))];
        Row("report: 8 at once, 3 may wait", 2, 3, "4", await Finished(pending, 5));
        for (int second = 1; second <= 3; second++)
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            Row($"report: waiting, {second} s later", 1, 0, "", await Finished(pending, 1));
        }
    }

    private async Task<HttpResponseMessage[]> SendAsync(string path, string client, int count) =>
        await Task.WhenAll(Enumerable.Range(0, count).Select(_ => GetAsync(path, client)));

    private async Task<HttpResponseMessage> GetAsync(string path, string client)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Add("X-Api-Key", client);
        return await _http.SendAsync(request);
    }

    private static async Task<HttpResponseMessage[]> Finished(List<Task<HttpResponseMessage>> pending, int count)
    {
        var finished = new HttpResponseMessage[count];
        for (int i = 0; i < count; i++)
        {
            Task<HttpResponseMessage> next = await Task.WhenAny(pending).WaitAsync(Patience);
            pending.Remove(next);
            finished[i] = await next;
        }
        return finished;
    }

    private void Row(string what, int ok, int refused, string retryAfter, HttpResponseMessage[] answers)
    {
        int gotOk = answers.Count(a => (int)a.StatusCode == 200), gotRefused = answers.Count(a => (int)a.StatusCode == 429);
        string gotAfter = string.Join(",", answers.Select(a => a.Headers.RetryAfter?.ToString()).OfType<string>().Distinct());
        Check((gotOk, gotRefused, gotAfter) == (ok, refused, retryAfter) && answers.Length == ok + refused,
            string.Create(CultureInfo.InvariantCulture, $"{what,-42}{gotOk,6}{gotRefused,6}  {gotAfter}"));
    }

    private void Counted(string limiter, long granted, long denied, long waited)
    {
        (long, long, long, long) sums = (
            metrics.Sum("leases.granted", limiter), metrics.Sum("leases.denied", limiter),
            metrics.Sum("leases.waited", limiter), metrics.Sum("queue.permits", limiter));
        Check(sums == (granted, denied, waited, 0),
            $"meter: {limiter} granted={sums.Item1} denied={sums.Item2} waited={sums.Item3} queue={sums.Item4}");
    }

    private void Check(bool holds, string line)
    {
        _passed &= holds;
        Console.WriteLine(holds ? line.TrimEnd() : line + "  WRONG");
    }
}
