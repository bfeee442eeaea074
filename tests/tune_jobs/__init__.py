from tune_jobs.ray_runtime.environment import configure_ray

configure_ray()  # before a module of this package imports ray
