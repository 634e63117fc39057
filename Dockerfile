# Both stages must have the same Python: the virtual environment is built in one and runs in the other.
# Behind an index of your own: --secret id=pip.conf,src=pip.conf is there while packages are installed, and in no layer.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1

# /build has what builds the project, /app what runs: only /app goes on.
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv /build \
    && /build/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r requirements/build.txt \
    && python3 -m venv --without-pip /app \
    && /build/bin/pip --python /app/bin/python install --no-cache-dir --no-deps --require-hashes --only-binary=:all: -r requirements/run.txt

COPY pyproject.toml README.md LICENSE config.example.yaml ./
COPY docs/runbooks/ docs/runbooks/
COPY grafana/ grafana/
COPY prometheus/ prometheus/
COPY exporter/ exporter/
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /build/bin/pip --python /app/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && mkdir /data


FROM ${PYTHON_IMAGE}

ARG PYTHON_IMAGE
ARG VERSION=unknown
ARG REVISION=unknown

LABEL org.opencontainers.image.title="video-analytics-exporter" \
      org.opencontainers.image.description="Prometheus exporter for MediaMelon SmartSight and IBM Video Streaming" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VIDEO_ANALYTICS_EXPORTER_REVISION=${REVISION}

COPY --from=builder /app /app
# For --storage.path: a volume here belongs to the user below.
COPY --from=builder --chown=65532:65532 /data /data

# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
EXPOSE 10310

# Where TLS or basic authentication is switched on, give a health check of your own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python3", "-I", "-c", "import sys; from http.client import HTTPConnection as C; c = C('127.0.0.1', 10310, timeout=4); c.request('GET', '/-/healthy'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["video-analytics-exporter"]
CMD ["run", "--config.file", "/etc/video-analytics-exporter/config.yaml"]
