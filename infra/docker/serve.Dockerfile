# The service: Ray Serve, torch, the locked requirements of the extra "serve", the wheel.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

COPY dist/requirements/serve.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt

COPY dist/*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/*.whl

COPY ray_apps/serve/ /opt/tenure/ray_apps/serve/
COPY conf/ /opt/tenure/conf/

RUN useradd --create-home --uid 1000 tenure && chown -R tenure /opt/tenure
USER tenure
WORKDIR /opt/tenure
ENV RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
