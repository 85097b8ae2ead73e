using System;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using TokenBucket;

namespace Microsoft.AspNetCore.RateLimiting;

/// <summary>Adds policies to the rate limiting middleware.</summary>
public static class TokenBucketRateLimiterOptionsExtensions
{
    /// <summary>Adds a policy of one <see cref="TokenBucketLimiter"/> for all requests, as <c>AddTokenBucketLimiter</c> does
    /// with .NET's limiter.</summary>
    /// <param name="options">The middleware's options.</param>
    /// <param name="policyName">The policy, for <c>RequireRateLimiting</c> and <c>[EnableRateLimiting]</c>.</param>
    /// <param name="configure">Sets the limit: at least the token limit and the tokens per period.</param>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range.</exception>
    public static RateLimiterOptions AddExactTokenBucketLimiter(
        this RateLimiterOptions options, string policyName, Action<TokenBucketLimiterOptions> configure) =>
        options.AddExactTokenBucketLimiter(policyName, configure, static _ => "");

    /// <summary>Adds a policy of one <see cref="TokenBucketLimiter"/> for each client. Those of clients that have been idle
    /// are dropped.</summary>
    /// <param name="options">The middleware's options.</param>
    /// <param name="policyName">The policy, for <c>RequireRateLimiting</c> and <c>[EnableRateLimiting]</c>.</param>
    /// <param name="configure">Sets the limit of a client: at least the token limit and the tokens per period.</param>
    /// <param name="client">Whose limit a request counts against.</param>
    /// <remarks>Limiters count in the <see cref="TokenBucketLimiterOptions.Metrics"/> that are set, else in those that
    /// <c>AddTokenBucketMetrics</c> has added under the policy's name, if any.</remarks>
    /// <exception cref="ArgumentOutOfRangeException">A limit outside its range.</exception>
    public static RateLimiterOptions AddExactTokenBucketLimiter(
        this RateLimiterOptions options, string policyName, Action<TokenBucketLimiterOptions> configure,
        Func<HttpContext, string> client)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(policyName);
        ArgumentNullException.ThrowIfNull(configure);
        ArgumentNullException.ThrowIfNull(client);
        var limit = new TokenBucketLimiterOptions { TokenLimit = 0, TokensPerPeriod = 0 };
        configure(limit);
        // A bad limit is refused here, not at the first request.
        new TokenBucketLimiter(limit).Dispose();
        return options.AddPolicy(policyName, context =>
        {
            TokenBucketMetrics? metrics =
                limit.Metrics ?? context.RequestServices.GetKeyedService<TokenBucketMetrics>(policyName);
            return RateLimitPartition.Get(client(context), _ => new TokenBucketLimiter(limit with { Metrics = metrics }));
        });
    }
}
