# The service in a small image: docker build -t smtp-check .
FROM rust:1.95-bookworm AS build
WORKDIR /build

# Linked statically, so that the image needs no system around the program. With the target named, build scripts and procedural macros are
# spared: they are loaded by the compiler and cannot be static.
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies, which change less often than the sources, in a layer of their own: built for a crate that has no code yet.
COPY Cargo.toml Cargo.lock ./
# Named in Cargo.toml, and so looked for; not built.
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
# What GET /version says of the sources. Not given, it is not in the environment either.
ARG SMTP_CHECK_REVISION
RUN target=$(rustc --print host-tuple) \
 && cargo build --release --locked --target "$target" \
 && mv "target/$target/release/smtp-check" /smtp-check

FROM scratch
# Certificates are judged by Debian's trust anchors, which an operator may mount others over.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /smtp-check /usr/local/bin/

# Nobody's: the service writes no file and binds no low port.
USER 65532:65532
EXPOSE 2580
# In a container loopback is of no use. Without --tokens-file or --allow-unauthenticated the service refuses to start here.
ENV SMTP_CHECK_LISTEN=0.0.0.0:2580
# The time limit is a little longer than the command's own.
HEALTHCHECK --interval=10s --timeout=6s --start-period=2s CMD ["/usr/local/bin/smtp-check", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/smtp-check"]
CMD ["serve"]
