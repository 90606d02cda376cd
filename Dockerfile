FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# Dependencies and what was compiled stay in the builder's cache. The sources are made newer than all of that: cargo
# goes by the time of a file, and a checkout may be older than the cache.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked --bin ringback \
    && cp target/release/ringback /usr/local/bin/ringback

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin ringback
COPY --from=build /usr/local/bin/ringback /usr/local/bin/ringback
USER 10001
ENV LISTEN_ADDR=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["ringback"]
CMD ["serve"]
