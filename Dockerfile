# The service in a small image: docker build -t smtp-check .
FROM rust:1.95-bookworm AS build
WORKDIR /build

# Linked statically, so that the image needs no system around the program. Naming the target keeps the flag from build
# scripts and procedural macros, which the compiler loads and which cannot be static.
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies change less often than the sources: a layer of their own, built for a crate without code.
COPY Cargo.toml Cargo.lock ./
# Cargo.toml names these files, so they must exist; they are not built.
COPY benches/parts.rs benches/
COPY benches/load benches/load
RUN mkdir src \
 && echo 'fn main() {}' >src/main.rs \
 && touch src/lib.rs \
 && target=$(rustc --print host-tuple) \
 && cargo build --release --locked --target "$target" \
 && cargo clean --release --locked --target "$target" --package smtp-check \
 && rm -r src

COPY . .
# The revision that GET /version shows. If it is not given, it is not in the environment either.
ARG SMTP_CHECK_REVISION
RUN target=$(rustc --print host-tuple) \
 && cargo build --release --locked --target "$target" \
 && mv "target/$target/release/smtp-check" /smtp-check

FROM scratch
# Debian's trust anchors; an operator may mount others over them.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /smtp-check /usr/local/bin/

ARG SMTP_CHECK_REVISION
LABEL org.opencontainers.image.title="smtp-check" \
      org.opencontainers.image.description="SMTP checks over HTTP: time of each phase, certificate facts, the server's replies" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$SMTP_CHECK_REVISION" \
      org.opencontainers.image.licenses="MIT"

# An unprivileged user: the service writes no file and binds no port below 1024.
USER 65532:65532
EXPOSE 2580
# Loopback cannot be reached from outside of a container. Without --tokens-file or --allow-unauthenticated the service
# refuses to start here.
ENV SMTP_CHECK_LISTEN=0.0.0.0:2580
# A little longer than the command's own timeout.
HEALTHCHECK --interval=10s --timeout=6s --start-period=2s CMD ["/usr/local/bin/smtp-check", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/smtp-check"]
CMD ["serve"]
