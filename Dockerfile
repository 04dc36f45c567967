# The service in a small image: docker build -t smtp-check .
FROM rust:1.95-bookworm AS build
WORKDIR /build

# The dependencies, which change less often than the sources, in a layer of their own: built for a crate that has no code yet.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
 && echo 'fn main() {}' >src/main.rs \
 && touch src/lib.rs \
 && cargo build --release --locked \
 && cargo clean --release --locked --package smtp-check \
 && rm -r src

COPY . .
ARG REVISION
RUN SMTP_CHECK_REVISION=$REVISION cargo build --release --locked

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/target/release/smtp-check /usr/local/bin/

# Nobody's: the service writes no file and binds no low port.
USER 65532:65532
EXPOSE 2580
# In a container loopback is of no use. Without --tokens-file or --allow-unauthenticated the service refuses to start here.
ENV SMTP_CHECK_LISTEN=0.0.0.0:2580
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["smtp-check", "healthcheck"]
ENTRYPOINT ["smtp-check"]
CMD ["serve"]
