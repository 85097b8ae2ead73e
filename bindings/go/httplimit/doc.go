// Package httplimit limits HTTP and gRPC servers and clients with tokenbucket limiters. It needs the standard library
// only.
//
//   - [Server] is a middleware: requests over the limit are answered with 429 and Retry-After, all are told how much is
//     left.
//   - [Clients] limits each client by a tokenbucket.Table, or in a fleet by a tokenbucket.Remote.
//   - [Transport] is a client's http.RoundTripper: it waits before sending, so that an upstream's quota is not exceeded,
//     and does as the upstream's answers say.
//   - [Deny], [Wait] and [Clients.Deny] are what gRPC middlewares call as Limit(ctx).
//   - [Var] and [Clients.Var] show what goes on, for expvar.Publish.
//
// The fields RateLimit and RateLimit-Policy are those of the Internet-Draft draft-ietf-httpapi-ratelimit-headers-11 of
// May 2026, which is not yet an RFC. The older RateLimit-Remaining, X-RateLimit-Reset and their like are neither sent
// nor read: what their numbers mean differs from server to server.
package httplimit
