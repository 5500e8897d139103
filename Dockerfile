# The project's one image: `upwhisk` with all its commands, for every architecture its bases have (amd64, arm64).
#
#   docker build -t upwhisk .
#
# BASE needs Python 3.11 to 3.13 with venv, and apt-get or the tools named below. NODE gives the interpreter of nodejs:20.
# Without a package index: put all wheels into ./wheels and build with --build-arg PIP_OPTIONS="--no-index".
ARG BASE=python:3.13.9-slim-bookworm
ARG NODE=node:20.19.5-bookworm-slim

FROM ${NODE} AS node

FROM ${BASE} AS build
ARG PIP_OPTIONS=""
WORKDIR /src
COPY . .
RUN mkdir -p wheels /wheel \
 && python3 -m venv /opt/upwhisk \
 && /opt/upwhisk/bin/pip wheel --no-cache-dir --find-links wheels ${PIP_OPTIONS} --no-deps --wheel-dir /wheel . \
 && /opt/upwhisk/bin/pip install --no-cache-dir --find-links wheels ${PIP_OPTIONS} "$(echo /wheel/upwhisk-*.whl)[distributed]" \
 && /opt/upwhisk/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="upwhisk" \
      org.opencontainers.image.description="A serverless cloud with the Apache OpenWhisk REST API: controller, invoker, standalone" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# nft and ip lay the networks of guests, libseccomp filters their system calls.
RUN if ! { command -v nft && command -v ip && ldconfig -p | grep -q 'libseccomp\.so\.2'; } >/dev/null; then \
      apt-get update \
      && apt-get install --yes --no-install-recommends iproute2 libseccomp2 nftables \
      && rm -rf /var/lib/apt/lists/*; \
    fi
RUN groupadd --system --gid 10001 upwhisk \
 && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/upwhisk --no-log-init --shell /usr/sbin/nologin upwhisk \
 && install --directory --owner upwhisk --group upwhisk --mode 0700 /var/lib/upwhisk
COPY --from=node /usr/local/bin/node /usr/local/bin/node
COPY --from=build /opt/upwhisk /opt/upwhisk
COPY compose/image/ /usr/local/bin/
ENV PATH=/opt/upwhisk/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    UPWHISK_DATA=/var/lib/upwhisk
USER upwhisk
WORKDIR /var/lib/upwhisk
EXPOSE 3233
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["upwhisk-health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["upwhisk"]
CMD ["--help"]
