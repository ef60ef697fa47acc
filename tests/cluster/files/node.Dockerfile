# kind's base image and Kubernetes on it. The first stage's packages are installed already, because dpkg would stop at
# containerd's configuration file if kind's own had come first. After kind's images/base/Dockerfile.
ARG PACKAGES
FROM ${PACKAGES}
COPY kind-files/ /
RUN chmod 0755 /kind /kind/bin /kind/bin/* /usr/local/bin/* \
 && find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete \
 && rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
      /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/sockets.target.wants/*udev* \
      /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/* \
 && echo ReadKMsg=no >>/etc/systemd/journald.conf \
 && ln -sf /usr/lib/systemd/systemd /sbin/init \
 && ln -sf /usr/bin/containerd /usr/local/bin/containerd \
 && systemctl enable kubelet.service containerd.service undo-mount-hacks.service \
 && systemctl mask systemd-binfmt.service \
 && mkdir -p /etc/kubernetes/manifests /opt/cni/bin \
 && for plugin in bridge ptp host-local loopback portmap; do cp "/usr/lib/cni/$plugin" /opt/cni/bin/; done \
 && ctr oci spec | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
      >/etc/containerd/cri-base.json
# The pause image of this Kubernetes, and a kubelet that may not lower OOM scores where the machine forbids it.
ARG PAUSE_IMAGE
RUN sed -i -e "s|sandbox_image = .*|sandbox_image = \"${PAUSE_IMAGE}\"|" \
      -e 's|restrict_oom_score_adj = .*|restrict_oom_score_adj = true|' /etc/containerd/config.toml
COPY node-files/ /
COPY kubeadm kubelet kubectl /usr/bin/
ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
