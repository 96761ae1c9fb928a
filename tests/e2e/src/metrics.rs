use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::{
    Client,
    primitives::DateTime,
    types::{Datapoint, Dimension, Statistic},
};
use aws_types::SdkConfig;

/// The datapoints of one of our metrics over the last hours, one for each calendar day.
pub async fn datapoints(
    aws: &SdkConfig,
    metric: &str,
    dimensions: &[(&str, &str)],
    statistics: &[Statistic],
) -> Vec<Datapoint> {
    let now = SystemTime::now();
    let dimension =
        |(name, value): &(&str, &str)| Dimension::builder().name(*name).value(*value).build();
    let answer = Client::new(aws)
        .get_metric_statistics()
        .namespace("APGL/Notifications")
        .metric_name(metric)
        .set_dimensions(Some(dimensions.iter().map(dimension).collect()))
        .start_time(DateTime::from(now - Duration::from_hours(3)))
        .end_time(DateTime::from(now + Duration::from_hours(1)))
        .period(86_400)
        .set_statistics(Some(statistics.to_vec()))
        .send()
        .await
        .expect("CloudWatch has the metric");
    answer.datapoints.unwrap_or_default()
}
