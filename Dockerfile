# The image of the service: one program, and the libraries and root certificates that it needs. It has no shell, runs
# as a user without rights and writes no file.
#
#   make image
#
# Only what Docker without BuildKit and buildah also know is used. The bases can be replaced, for example by their
# digests or by a mirror. The runtime base needs glibc, libgcc_s and /etc/ssl/certs. BuildKit makes the same image again from the
# same sources with --output type=docker,rewrite-timestamp=true, buildah with --timestamp.
ARG BUILDER_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILDER_IMAGE} AS build
WORKDIR /src

# Only the dependencies, for an empty program: this layer is kept until Cargo.toml or Cargo.lock changes. Tests and benchmarks
# are left out, whose files are not here. Without rust-toolchain.toml, rustup installs nothing.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
RUN sed -i '/^\[\[/,/^$/d' Cargo.toml \
    && mkdir src \
    && touch src/lib.rs \
    && echo 'fn main() {}' >src/main.rs \
    && cargo build --release --locked --bin ringback

COPY sqlx.toml ./
COPY .sqlx .sqlx
COPY migrations migrations
COPY templates templates
COPY src src
# Cargo goes by the time of a file, and a checkout may be older than the empty program.
ARG SOURCE_DATE_EPOCH=0
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin ringback \
    && cp target/release/ringback /ringback \
    && touch -d "@$SOURCE_DATE_EPOCH" /ringback

FROM ${RUNTIME_IMAGE}
COPY --from=build /ringback /usr/local/bin/ringback
# A number, so that Kubernetes can check that it is not root.
USER 10001:10001
ENV LISTEN_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/usr/local/bin/ringback", "health"]
ENTRYPOINT ["/usr/local/bin/ringback"]
CMD ["serve"]
# Last: they change with every commit.
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="Ringback" \
    org.opencontainers.image.description="Callbacks and campaign control between a contact centre's systems and NICE CXone" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.source="${SOURCE}"
