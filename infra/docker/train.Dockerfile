# Trainings, batch scoring, and the two jobs that read a release without Spark (publish_members, write_report): Ray,
# torch, the locked requirements of the extra "train", the wheel.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

COPY dist/requirements/train.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt

COPY dist/*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/*.whl

COPY jobs/ /opt/tenure/jobs/
COPY ray_apps/ /opt/tenure/ray_apps/
COPY conf/ /opt/tenure/conf/

RUN useradd --create-home --uid 1000 tenure && chown -R tenure /opt/tenure
USER tenure
WORKDIR /opt/tenure
ENV RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
