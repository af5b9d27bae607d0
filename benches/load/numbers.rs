//! Means, slopes, quantiles.

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub fn max(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, f64::max)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Of values one second apart: by how much they rise each second, by least squares.
pub fn slope(values: &[f64]) -> f64 {
    let middle = (values.len().saturating_sub(1)) as f64 / 2.0;
    let mean = mean(values);
    let (mut above, mut below) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let at = at as f64 - middle;
        above += at * (value - mean);
        below += at * at;
    }
    if below == 0.0 { 0.0 } else { above / below }
}

/// Of Prometheus text: the sum of all samples of a metric.
pub fn sum_of(metrics: &str, name: &str) -> f64 {
    // An empty `sum` is -0.
    samples(metrics, name).fold(0.0, |sum, (_, value)| sum + value)
}

/// The bound in seconds below which `part` of a histogram lies, all streams together.
pub fn quantile_of(metrics: &str, name: &str, part: f64) -> f64 {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (labels, count) in samples(metrics, &format!("{name}_bucket")) {
        let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        match buckets.iter_mut().find(|(have, _)| *have == bound) {
            Some((_, sum)) => *sum += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = buckets.last().map_or(0.0, |last| last.1);
    buckets.iter().find(|(_, count)| *count >= all * part).map_or(0.0, |(bound, _)| *bound)
}

fn samples<'a>(metrics: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    metrics.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
    })
}
