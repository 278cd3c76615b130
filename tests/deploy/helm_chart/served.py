def faults(chart, gateway):
    return []
