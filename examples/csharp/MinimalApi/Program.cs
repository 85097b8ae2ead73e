// A web API with two limits: every client has its own for /quote, and /report has one for all, where a few may wait.
// `MinimalApi` serves until stopped (--urls says where); `MinimalApi --self-test` puts load on itself and checks it.
using System;
using System.Globalization;
using System.Linq;
using System.Threading.RateLimiting;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using MinimalApi;
using TokenBucket;

bool selfTest = args.Contains("--self-test");
using ManualClock? clock = selfTest ? new ManualClock() : null;

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddTokenBucketMetrics("quote").AddTokenBucketMetrics("report").AddSingleton<MetricsPage>();

builder.Services.AddRateLimiter(limits =>
{
    limits.AddExactTokenBucketLimiter("quote", limit =>
    {
        limit.TokenLimit = 20;
        limit.TokensPerPeriod = 2;
        limit.Clock = clock;
    }, Client);
    limits.AddExactTokenBucketLimiter("report", limit =>
    {
        limit.TokenLimit = 2;
        limit.TokensPerPeriod = 60;
        limit.ReplenishmentPeriod = TimeSpan.FromMinutes(1);
        limit.QueueLimit = 3;
        limit.Clock = clock;
    });
    limits.OnRejected = Reject;
});

WebApplication app = builder.Build();
MetricsPage metrics = app.Services.GetRequiredService<MetricsPage>();
app.UseRateLimiter();
app.MapGet("/quote", () => "Haste makes waste.\n").RequireRateLimiting("quote");
app.MapGet("/report", () => "All is well.\n").RequireRateLimiting("report");
app.MapGet("/metrics", metrics.Text);

if (clock is null)
{
    await app.RunAsync();
    return 0;
}
app.Urls.Add("http://127.0.0.1:0");
await app.StartAsync();
bool passed = await new SelfTest(new Uri(app.Urls.Single()), clock, metrics).RunAsync();
await app.StopAsync();
return passed ? 0 : 1;

static string Client(HttpContext context) =>
    context.Request.Headers.TryGetValue("X-Api-Key", out var key)
        ? "key " + key
        : "address " + context.Connection.RemoteIpAddress;

static ValueTask Reject(OnRejectedContext rejected, System.Threading.CancellationToken cancellation)
{
    rejected.HttpContext.Response.StatusCode = StatusCodes.Status429TooManyRequests;
    if (rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out TimeSpan after))
    {
        rejected.HttpContext.Response.Headers.RetryAfter =
            Math.Ceiling(after.TotalSeconds).ToString(CultureInfo.InvariantCulture);
    }
    return ValueTask.CompletedTask;
}
