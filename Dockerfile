# NOT RUN: written without a container engine at hand. What it stands on is tested without one: the static binary and
# its run in an empty root (scripts/build-static.sh).
#
#   docker build -t overdub .
#   docker run -p 3000:3000 -v overdub:/data -e OVERDUB_API_TOKEN=... overdub

FROM node:22-bookworm-slim AS page
WORKDIR /page
COPY ui/package.json ui/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY ui .
RUN npm run build

FROM rust:1.95-bookworm AS binary
WORKDIR /overdub
COPY . .
COPY --from=page /page/dist ui/dist
RUN scripts/static-cargo.sh build --release --bin overdub \
 && cp target/*-linux-gnu/release/overdub /overdub.static \
 && mkdir -p /empty/data /empty/tmp

FROM scratch
COPY --from=binary --chown=65532:65532 /empty /
COPY --from=binary /overdub.static /overdub
USER 65532:65532
WORKDIR /data
VOLUME /data
ENV OVERDUB_HOST=0.0.0.0 OVERDUB_STORAGE=/data/storage
EXPOSE 3000
# SIGTERM drains for up to a minute: `docker stop -t 70`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/overdub"]
CMD ["serve"]
