#!/usr/bin/env bash
# What a container of tenure-spark runs. Spark on Kubernetes starts drivers and executors by it, with these two words
# and an environment of SPARK_*; whatever else is said goes to spark-submit as it stands.
set -euo pipefail

readonly EXECUTOR=org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend

case ${1:-} in
driver)
    shift
    exec spark-submit --deploy-mode client \
        --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
        --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" "$@"
    ;;
executor)
    spark_home=${SPARK_HOME:-$(python -m pyspark.find_spark_home)}
    options=()
    while IFS= read -r -d '' pair; do
        if [[ $pair == SPARK_JAVA_OPT_*=* ]]; then options+=("${pair#*=}"); fi
    done < <(env -0 | sort -z -t _ -k 4n) # in the order of their numbers
    exec java "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
        -cp "${SPARK_CONF_DIR:+$SPARK_CONF_DIR:}${SPARK_CLASSPATH:+$SPARK_CLASSPATH:}$spark_home/jars/*" "$EXECUTOR" \
        --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
        --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
        --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
*)
    exec spark-submit "$@"
    ;;
esac
