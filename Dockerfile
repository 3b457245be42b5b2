# The image is the static binary and the certificates that it trusts, run by a
# user without rights on a root file system that may be read-only: all it writes
# is in /var/lib/daybook.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=unknown
ENV GOCACHE=/build-cache
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/build-cache \
    CGO_ENABLED=0 GOEXPERIMENT=jsonv2 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/daybook ./cmd/daybook
RUN mkdir -p /out/root/var/lib && mkdir -m 0700 /out/root/var/lib/daybook

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/daybook /daybook
COPY --from=build --chown=65532:65532 /out/root/ /
USER 65532:65532
ENV DAYBOOK_ADDR=:8080 DAYBOOK_DATA_DIR=/var/lib/daybook
VOLUME /var/lib/daybook
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/daybook", "health"]
ENTRYPOINT ["/daybook"]
CMD ["serve"]
