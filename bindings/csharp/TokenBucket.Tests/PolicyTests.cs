using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static TokenBucket.Tests.Buckets;

namespace TokenBucket.Tests;

// The policies of TokenBucket.AspNetCore, over HTTP.
public class PolicyTests
{
    private static async Task<WebApplication> Serving(Action<RateLimiterOptions> add, params string[] metrics)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        foreach (string name in metrics)
        {
            builder.Services.AddTokenBucketMetrics(name);
        }
        builder.Services.AddRateLimiter(limits =>
        {
            limits.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
            add(limits);
        });
        WebApplication app = builder.Build();
        app.UseRateLimiter();
        app.MapGet("/all", () => "").RequireRateLimiting("all");
        app.MapGet("/client", () => "").RequireRateLimiting("client");
        app.Urls.Add("http://127.0.0.1:0");
        await app.StartAsync();
        return app;
    }

    private static async Task<string> Statuses(WebApplication app, params string[] paths)
    {
        using var http = new HttpClient { BaseAddress = new Uri(new List<string>(app.Urls)[0]), Timeout = Patience };
        var seen = new List<string>();
        foreach (string path in paths)
        {
            using HttpResponseMessage answer = await http.GetAsync(new Uri(path, UriKind.Relative));
            seen.Add($"{(int)answer.StatusCode}");
        }
        return string.Join(" ", seen);
    }

    [Fact]
    public async Task A_policy_is_one_limit_for_all_or_for_each_client()
    {
        var time = new FakeTimeProvider();
        void Limit(TokenBucketLimiterOptions o)
        {
            (o.TokenLimit, o.TokensPerPeriod, o.ReplenishmentPeriod, o.TimeProvider) = (2, 1, TimeSpan.FromMinutes(1), time);
        }
        await using WebApplication app = await Serving(limits => limits
            .AddExactTokenBucketLimiter("all", Limit)
            .AddExactTokenBucketLimiter("client", Limit, context => context.Request.Query["who"].ToString()));
        Assert.Equal("200 200 429", await Statuses(app, "/all?who=a", "/all?who=b", "/all?who=c"));
        Assert.Equal("200 200 429 200", await Statuses(app, "/client?who=a", "/client?who=a", "/client?who=a", "/client?who=b"));
        time.Advance(TimeSpan.FromSeconds(59));
        Assert.Equal("429 429", await Statuses(app, "/all", "/client?who=a"));
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("200 200 429", await Statuses(app, "/all", "/client?who=a", "/client?who=a"));
    }

    [Fact]
    public async Task A_policy_counts_in_the_metrics_of_its_name()
    {
        using var own = new TokenBucketMetrics("own");
        using MetricsTests.Sums all = new("all"), client = new("client"), ownSum = new("own");
        static void Limit(TokenBucketLimiterOptions o) => (o.TokenLimit, o.TokensPerPeriod) = (5, 1);
        await using WebApplication app = await Serving(
            limits => limits.AddExactTokenBucketLimiter("all", Limit).AddExactTokenBucketLimiter("client", o =>
            {
                Limit(o);
                o.Metrics = own;
            }), "all", "client");
        Assert.Equal("200 200 200", await Statuses(app, "/all", "/all", "/client"));
        const string Granted = "leases.granted";
        Assert.Equal((2, 0, 1), (all[Granted], client[Granted], ownSum[Granted]));
    }

    [Fact]
    public void A_bad_policy_is_refused_when_it_is_added()
    {
        var limits = new RateLimiterOptions();
        static void Good(TokenBucketLimiterOptions o) => (o.TokenLimit, o.TokensPerPeriod) = (1, 1);
        var e = Assert.Throws<ArgumentOutOfRangeException>(() => limits.AddExactTokenBucketLimiter("a", _ => { }));
        Assert.StartsWith("TokenLimit must be 1 or more, got 0", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<ArgumentOutOfRangeException>(() => limits.AddExactTokenBucketLimiter("a", o => o.TokenLimit = 1));
        Assert.Equal(("TokensPerPeriod", 0.0), (e.ParamName, e.ActualValue));
        Assert.Throws<ArgumentNullException>(() => limits.AddExactTokenBucketLimiter(null!, Good));
        Assert.Throws<ArgumentNullException>(() => limits.AddExactTokenBucketLimiter("a", null!));
        Assert.Throws<ArgumentNullException>(() => limits.AddExactTokenBucketLimiter("a", Good, null!));
        Assert.Throws<ArgumentNullException>(() => TokenBucketRateLimiterOptionsExtensions.AddExactTokenBucketLimiter(null!, "a", Good));
        limits.AddExactTokenBucketLimiter("a", Good);
        Assert.Throws<ArgumentException>(() => limits.AddExactTokenBucketLimiter("a", Good));
    }
}
