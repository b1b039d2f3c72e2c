"""Ways to lose a pod."""


def delete(cluster, pod):
    cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")


def kill(cluster, pod):
    """Kills its process with -9, as the kernel does when memory is short."""
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    cluster.run("ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container)
