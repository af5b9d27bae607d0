//! Debian's nginx with libnginx-mod-rtmp: a target that takes what is published, records it as it came, and
//! hands it to viewers.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use super::tools::{Running, Workdir, free_port};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

pub struct Nginx {
    process: Running,
    port: u16,
    recordings: PathBuf,
}

impl Nginx {
    /// Starts one of its own on a free port, with its files in `dir`.
    pub async fn start(dir: &Workdir) -> Self {
        let port = free_port();
        let prefix = dir.join("nginx");
        let recordings = prefix.join("recordings");
        std::fs::create_dir_all(&recordings).expect("a folder for nginx");
        let config = format!(
            "load_module {MODULE};
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events {{ worker_connections 256; }}
rtmp {{
  server {{
    listen 127.0.0.1:{port};
    # Longer than any stall we make: who leaves early is to be seen, not thrown out.
    timeout 60s;
    application live {{ live on; record all; record_path {recordings}; record_suffix .flv; }}
    application refusing {{ live on; deny publish all; }}
  }}
}}
",
            recordings = recordings.display()
        );
        std::fs::write(prefix.join("nginx.conf"), config).expect("a configuration for nginx");
        let mut command = Command::new("nginx");
        // Debian keeps it in /usr/sbin, which is not on everybody's PATH.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin"));
        command.arg("-p").arg(&prefix).arg("-e").arg(prefix.join("error.log")).args(["-c", "nginx.conf"]);
        let mut process = Running::start("nginx", &mut command, dir.join("nginx.log"));
        process.listens(port).await;
        Self { process, port, recordings }
    }

    /// Where `stream` is published and pulled.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{stream}", self.port)
    }

    /// An application that refuses every publisher.
    pub fn refusing_url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/refusing/stream", self.port)
    }

    /// What nginx itself wrote of `stream`, untouched by FFmpeg.
    pub fn recording(&self, stream: &str) -> PathBuf {
        self.recordings.join(format!("{stream}.flv"))
    }

    /// Ends it, and with it every connection. It must still have been there.
    pub async fn stop(&mut self) {
        assert!(self.process.is_running(), "nginx died\n{}", self.process.tail());
        self.process.terminate();
        self.process.wait(Duration::from_secs(10)).await;
    }
}
