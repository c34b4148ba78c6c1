def site_name(request):
    return {"site_name": "Test & Co", "overridden": "by the processor"}
