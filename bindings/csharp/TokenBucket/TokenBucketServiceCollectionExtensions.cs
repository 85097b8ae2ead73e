using System;
using System.Diagnostics.Metrics;
using System.Threading.RateLimiting;
using TokenBucket;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers limiters with a service collection.</summary>
public static class TokenBucketServiceCollectionExtensions
{
    /// <summary>Adds a limiter as a singleton under a key, as <see cref="TokenBucketLimiter"/> and as
    /// <see cref="RateLimiter"/>; the container disposes it. It counts in the metrics of its options, else in those that
    /// <see cref="AddTokenBucketMetrics"/> adds under the same name.</summary>
    public static IServiceCollection AddTokenBucketLimiter(
        this IServiceCollection services, string name, TokenBucketLimiterOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        services.AddTokenBucketMetrics(name);
        services.AddKeyedSingleton(name, (provider, _) => new TokenBucketLimiter(options with
        {
            Metrics = options.Metrics ?? provider.GetRequiredKeyedService<TokenBucketMetrics>(name),
        }));
        return services.AddKeyedSingleton<RateLimiter>(
            name, (provider, _) => provider.GetRequiredKeyedService<TokenBucketLimiter>(name));
    }

    /// <summary>Adds <see cref="TokenBucketMetrics"/> as a singleton under its name, on a meter of the container's
    /// <see cref="IMeterFactory"/> where there is one (as in every ASP.NET Core application).</summary>
    public static IServiceCollection AddTokenBucketMetrics(this IServiceCollection services, string name)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(name);
        return services.AddKeyedSingleton(
            name, (provider, _) => new TokenBucketMetrics(name, provider.GetService<IMeterFactory>()));
    }
}
