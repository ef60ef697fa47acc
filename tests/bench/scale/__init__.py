"""What Serin costs with thousands of experiments: lag, CPU, memory, requests and queries on a real control plane.

make bench-scale                                      # 100, 1,000 and 5,000 experiments
make bench-scale BENCH_ARGS='--sizes 20,100,300'      # beside the peers' figures
"""
