//! A gateway on a real listener, with one module behind it that answers everywhere.

use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use ark::{InstanceId, Target, Traffic};
use ark_model::{Limits, ModuleId};
use gateway::{Endpoint, Gateway, Serving, Settings};

/// What the tests wait for at most; nothing here should take that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Front {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) serving: Serving,
}

impl Front {
    pub(crate) fn of(module: &str, endpoint: Endpoint, limits: Limits, settings: Settings) -> Self {
        let gateway = Gateway::new(settings);
        let target = Target {
            instance: InstanceId(1),
            module: Arc::new(ModuleId::new(module, "1").unwrap()),
            context_path: "/".into(),
            hosts: Arc::from([]),
            weight: 100,
            limits,
            endpoint,
        };
        gateway.route(module, vec![target]);
        let serving = gateway.serve("127.0.0.1:0".parse().unwrap(), 1, None).unwrap();
        Self { gateway, serving }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.serving.local_addr()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}
