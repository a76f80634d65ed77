# gowsgi and Debian's Python. An application is put into it by a Dockerfile of its
# own; docs/containers.md shows one.
#
#     docker build -t gowsgi .

FROM golang:1.26-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN make build VERSION="$VERSION" && strip bin/gowsgi

# The same release as above, and so the same CPython: gowsgi has that one linked in,
# and takes the library in Python from here.
FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/bin/gowsgi /usr/local/bin/gowsgi

# A number: orchestrators that want no root cannot look names up.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin gowsgi \
 && mkdir /app
USER 10001:10001
WORKDIR /app

# PORT, WEB_CONCURRENCY and every GOWSGI_ variable can be set for a container. PORT
# says where to listen (0.0.0.0), unless GOWSGI_BIND or a flag does. Logs: a line for
# each request, and nothing held back that the application prints.
ENV PORT=8000 \
    GOWSGI_HEALTH_PATH=/- \
    GOWSGI_ACCESS_LOGFILE=- \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8
EXPOSE 8000

# It is told what the server was told, wherever that was said.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["gowsgi", "healthcheck", "--within", "4s"]
# Requests finish, for --graceful-timeout (30 s): docker stop --time 35.
STOPSIGNAL SIGTERM
ENTRYPOINT ["gowsgi"]
CMD ["wsgi:application"]
