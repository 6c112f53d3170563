// What runs in the testbed and with which settings: command lines and configuration files as plain data. testbed.ts writes the files
// and starts the commands in the order of these lists.
import { join } from 'node:path'

export interface Layout {
  /** Everything of this cluster lies in it. */
  folder: string
  /** Of the API server: free on this machine's loopback too, so that one kubeconfig serves inside and outside. */
  port: number
  /** Folder with the names of binary/main.go. */
  binaries: string
  networkPlugins: string
  snapshotter: 'overlayfs' | 'native'
  /** Without the capability CAP_SYS_RESOURCE no process may be protected from the kernel's out-of-memory killer. */
  mayProtectFromOom: boolean
  controlGroup: string
  nodeGraceSeconds?: number
}

export interface Component {
  name: string
  command: string[]
}

export interface Node {
  name: string
  address: string
  /** Where its containerd listens, inside the box. */
  socket: string
}

export const CLUSTER_ADDRESS = '10.77.0.1'
export const PAUSE_IMAGE = 'docker.io/millhand/pause:1'
export const DNS_SERVICE = '10.96.0.10'
export const SERVICES = '10.96.0.0/16'
const PODS = '10.88.0.0/16'
const ETCD = 'http://127.0.0.1:2379'

export function nodeNumber(number: number): Node {
  const name = `node${number}`
  return { name, address: `10.77.0.${number}`, socket: `/run/${name}/containerd.sock` }
}

export function etcd({ folder, binaries }: Layout): Component {
  const peers = 'http://127.0.0.1:2380'
  return {
    name: 'etcd',
    command: [
      join(binaries, 'etcd'),
      `--data-dir=${join(folder, 'etcd')}`,
      `--listen-client-urls=${ETCD}`,
      `--advertise-client-urls=${ETCD}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
      `--initial-cluster=default=${peers}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
  }
}

export function apiServer({ folder, binaries, port }: Layout): Component {
  return {
    name: 'kube-apiserver',
    command: [
      join(binaries, 'kube-apiserver'),
      `--etcd-servers=${ETCD}`,
      `--secure-port=${port}`,
      `--advertise-address=${CLUSTER_ADDRESS}`,
      `--tls-cert-file=${join(folder, 'keys/api.crt')}`,
      `--tls-private-key-file=${join(folder, 'keys/api.key')}`,
      `--token-auth-file=${join(folder, 'keys/tokens.csv')}`,
      '--authorization-mode=Node,RBAC',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${join(folder, 'keys/accounts.pub')}`,
      `--service-account-signing-key-file=${join(folder, 'keys/accounts.key')}`,
      `--service-cluster-ip-range=${SERVICES}`,
      '--kubelet-preferred-address-types=InternalIP',
      '--allow-privileged',
      '--profiling=false',
    ],
  }
}

export function controllers({ folder, binaries, nodeGraceSeconds }: Layout): Component[] {
  const kubeconfig = `--kubeconfig=${join(folder, 'kubeconfig')}`
  const nodeGrace = nodeGraceSeconds
    ? [`--node-monitor-grace-period=${nodeGraceSeconds}s`, '--node-monitor-period=1s']
    : []
  return [
    {
      name: 'kube-controller-manager',
      command: [
        join(binaries, 'kube-controller-manager'),
        kubeconfig,
        '--leader-elect=false',
        `--cluster-cidr=${PODS}`,
        `--service-account-private-key-file=${join(folder, 'keys/accounts.key')}`,
        `--root-ca-file=${join(folder, 'keys/api.crt')}`,
        '--use-service-account-credentials',
        // Its own caution would take minutes for some hundreds of Deployments.
        '--kube-api-qps=200',
        '--kube-api-burst=400',
        ...nodeGrace,
      ],
    },
    {
      name: 'kube-scheduler',
      command: [join(binaries, 'kube-scheduler'), kubeconfig, '--leader-elect=false'],
    },
    {
      name: 'kube-proxy',
      command: [
        join(binaries, 'kube-proxy'),
        kubeconfig,
        `--cluster-cidr=${PODS}`,
        '--hostname-override=node1',
        '--proxy-mode=iptables',
        '--iptables-min-sync-period=100ms',
        '--conntrack-max-per-core=0',
        '--conntrack-tcp-timeout-established=0s',
        '--conntrack-tcp-timeout-close-wait=0s',
        '--oom-score-adj=0',
      ],
    },
    { name: 'coredns', command: [join(binaries, 'coredns'), '-conf', join(folder, 'Corefile')] },
  ]
}

export function containerd({ folder }: Layout, node: Node): Component {
  return {
    name: `containerd-${node.name}`,
    command: ['containerd', '--config', join(folder, node.name, 'containerd.toml')],
  }
}

export function kubelet({ folder, binaries }: Layout, node: Node): Component {
  return {
    name: `kubelet-${node.name}`,
    command: [
      join(binaries, 'kubelet'),
      `--kubeconfig=${join(folder, 'kubeconfig')}`,
      `--config=${join(folder, node.name, 'kubelet.yaml')}`,
      `--root-dir=${join(folder, node.name, 'kubelet')}`,
      `--hostname-override=${node.name}`,
      `--node-ip=${node.address}`,
    ],
  }
}

/** Path below the cluster's folder → text. */
export function clusterFiles({ folder, port }: Layout, secrets: { token: string; certificate: string }) {
  return {
    kubeconfig: json({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'millhand-test',
      clusters: [
        {
          name: 'millhand-test',
          cluster: {
            server: `https://127.0.0.1:${port}`,
            'certificate-authority-data': Buffer.from(secrets.certificate).toString('base64'),
          },
        },
      ],
      users: [{ name: 'admin', user: { token: secrets.token } }],
      contexts: [{ name: 'millhand-test', context: { cluster: 'millhand-test', user: 'admin' } }],
    }),
    'keys/tokens.csv': `${secrets.token},admin,admin,system:masters\n`,
    Corefile: `cluster.local:53 in-addr.arpa:53 {
  kubernetes {
    kubeconfig ${join(folder, 'kubeconfig')}
  }
  cache 2
  errors
}
# There is no other network: no other name exists.
.:53 {
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`,
    'resolv.conf': `nameserver ${DNS_SERVICE}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n`,
    // Each pod is routed, not bridged, so that Services work without bridge-netfilter and two nodes can share one network.
    'network/10-millhand.conflist': json({
      cniVersion: '0.4.0',
      name: 'millhand',
      plugins: [
        {
          type: 'ptp',
          ipMasq: false,
          ipam: {
            type: 'host-local',
            dataDir: '/run/pod-addresses',
            ranges: [[{ subnet: PODS }]],
            routes: [{ dst: '0.0.0.0/0' }],
          },
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    }),
  }
}

export function nodeFiles(layout: Layout, node: Node) {
  const { folder } = layout
  const home = join(folder, node.name)
  return {
    [`${node.name}/containerd.toml`]: `version = 2
root = "${home}/containerd"
state = "/run/${node.name}/containerd"
[grpc]
address = "${node.socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "${home}/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${PAUSE_IMAGE}"
restrict_oom_score_adj = ${!layout.mayProtectFromOom}
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "${layout.networkPlugins}"
conf_dir = "${folder}/network"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "${layout.snapshotter}"
`,
    [`${node.name}/kubelet.yaml`]: json({
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      address: node.address,
      healthzPort: 0,
      authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
      authorization: { mode: 'AlwaysAllow' },
      cgroupDriver: 'cgroupfs',
      cgroupRoot: `/${layout.controlGroup}/${node.name}`,
      clusterDNS: [DNS_SERVICE],
      clusterDomain: 'cluster.local',
      containerRuntimeEndpoint: `unix://${node.socket}`,
      evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
      failCgroupV1: false,
      failSwapOn: false,
      // Images cannot be fetched again.
      imageGCHighThresholdPercent: 100,
      maxPods: 200,
      // It says four times in this time that it lives.
      ...(layout.nodeGraceSeconds && { nodeLeaseDurationSeconds: layout.nodeGraceSeconds }),
      oomScoreAdj: 0,
      podLogsDir: `${home}/pod-logs`,
      resolvConf: `${folder}/resolv.conf`,
      volumePluginDir: `${home}/volume-plugins`,
    }),
  }
}

/** The Service by whose address every pod asks for names; CoreDNS runs beside the API server, not in a pod. */
export function dnsService(): { path: string; object: object }[] {
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ]
  const metadata = { name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } }
  return [
    {
      path: '/api/v1/namespaces/kube-system/services',
      object: { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: DNS_SERVICE, ports } },
    },
    {
      path: '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices',
      object: {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'kube-dns' } },
        addressType: 'IPv4',
        ports,
        endpoints: [{ addresses: [CLUSTER_ADDRESS], conditions: { ready: true } }],
      },
    },
  ]
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
