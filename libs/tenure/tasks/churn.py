"""Will a member who came within the activity window stay away for the whole horizon?"""

from __future__ import annotations

from tenure.contracts.gold import member_events, member_features
from tenure.tasks.metrics import AVERAGE_PRECISION, CALIBRATION_ERROR, ROC_AUC
from tenure.tasks.task import Binary, Blocks, Gate, Task

TASK = CHURN = Task(
    name="churn",
    says="no visit within the horizon, among members seen within the activity window",
    examples="churn",
    inputs=Blocks(sequence=member_events, features=member_features),
    model="member_encoder",
    head=Binary(),
    metrics=(ROC_AUC, AVERAGE_PRECISION, CALIBRATION_ERROR),
    baselines=("recency", "logistic_regression", "lightgbm"),
    recency="days_since_last_visit",
    gate=Gate(
        beats="logistic_regression",
        on=ROC_AUC,
        calibration_error_at_most=0.05,
        telling_alone_at_most=0.9,
    ),
)
