//! Samples gathered into families, in the order in which they were named.

use prometheus::proto::{Bucket, Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::histogram::Histogram;

/// Names and values of the labels of one sample.
pub type Labels<'a> = [(&'a str, &'a str)];

/// All families of one scrape.
#[derive(Default)]
pub struct Families(Vec<MetricFamily>);

impl Families {
    /// Something that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = labelled(labels);
        metric.set_gauge(gauge);
        self.add(name, help, MetricType::GAUGE, metric);
    }

    /// Something that only goes up; `name` ends with `_total`.
    pub fn counter(&mut self, name: &str, help: &str, labels: &Labels<'_>, value: f64) {
        let mut counter = Counter::default();
        counter.set_value(value);
        let mut metric = labelled(labels);
        metric.set_counter(counter);
        self.add(name, help, MetricType::COUNTER, metric);
    }

    /// Durations; `name` ends with `_seconds`.
    pub fn histogram(&mut self, name: &str, help: &str, labels: &Labels<'_>, values: &Histogram) {
        let mut histogram = prometheus::proto::Histogram::default();
        let bucket = |(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        histogram.set_bucket(values.cumulative().map(bucket).collect());
        histogram.set_sample_count(values.count());
        histogram.set_sample_sum(values.sum().as_secs_f64());
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.add(name, help, MetricType::HISTOGRAM, metric);
    }

    /// Prometheus's text format, version 0.0.4.
    pub fn encode(&self) -> String {
        let mut text = Vec::new();
        // Writing into memory fails only for a family without samples, which none is.
        let _ = TextEncoder::new().encode(&self.0, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, metric: Metric) {
        let known = self.0.iter_mut().find(|family| family.name() == name);
        let family = match known {
            Some(family) => family,
            None => {
                let mut family = MetricFamily::default();
                family.set_name(name.to_owned());
                family.set_help(help.to_owned());
                family.set_field_type(kind);
                self.0.push(family);
                // Just pushed.
                let last = self.0.len() - 1;
                &mut self.0[last]
            }
        };
        family.mut_metric().push(metric);
    }
}

fn labelled(labels: &Labels<'_>) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(pair).collect());
    metric
}
