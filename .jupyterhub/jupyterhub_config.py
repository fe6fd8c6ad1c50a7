"""A hub for one class on one machine with Docker. `kd-lab class hub` prints the limits for your students and lessons.

Parsed by tests/teaching/test_hub.py; it was not run where it was written. Choose an authenticator before anyone else
can reach it: https://jupyterhub.readthedocs.io.
"""

c = get_config()  # noqa: F821  jupyterhub defines it
c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "kd-lab-class"
c.DockerSpawner.remove = True
c.DockerSpawner.volumes = {"kd-lab-{username}": "/home/student"}
c.JupyterHub.hub_ip = "0.0.0.0"

# At least the limit that `kd-lab class hub` prints: the largest kernel of the course, and a JupyterLab beside it.
c.Spawner.mem_limit = "1.4G"
c.Spawner.cpu_limit = 1.0
c.Spawner.start_timeout = 120
c.JupyterHub.concurrent_spawn_limit = 10
