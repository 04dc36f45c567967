-- One check, asked for again and again. BODY holds its parameters.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = os.getenv("BODY")
