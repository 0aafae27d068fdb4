# The jobs of the night: Spark 4.2 with its Python, Delta's jars, the locked requirements of the extra "spark", the wheel.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/*

COPY dist/requirements/spark.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt

COPY dist/*.whl /tmp/
RUN pip install --no-cache-dir --no-deps /tmp/*.whl

COPY dist/jars/ /opt/tenure/var/jars/
COPY jobs/ /opt/tenure/jobs/
COPY conf/ /opt/tenure/conf/
COPY infra/docker/spark_entrypoint.sh /opt/tenure/entrypoint.sh

RUN useradd --create-home --uid 1000 tenure && chown -R tenure /opt/tenure
USER tenure
WORKDIR /opt/tenure
ENTRYPOINT ["bash", "/opt/tenure/entrypoint.sh"]
CMD ["jobs/refresh.py", "--help"]
