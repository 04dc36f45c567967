// Code of a user of the generated TypeScript types. An unneeded `@ts-expect-error` is an error.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

declare const process: { env: Record<string, string> };

type Failure = components["schemas"]["Failure"];
type Violation = components["schemas"]["Violation"];

const baseUrl = process.env["CONFORMANCE_URL"]!;
const check: components["schemas"]["CheckRequest"] = JSON.parse(process.env["CONFORMANCE_CHECK"]!);
const headers = { Authorization: `Bearer ${process.env["CONFORMANCE_TOKEN"]}` };
// Responses in JSON: a live check is a stream of text.
type Json = "application/json" | "application/problem+json";
const client = createClient<paths, Json>({ baseUrl, headers });

function assert(holds: boolean, what: unknown): asserts holds {
    if (!holds) throw new Error(JSON.stringify(what));
}

async function delivered(): Promise<void> {
    const { data: report } = await client.POST("/v1/checks/smtp", { body: check });
    assert(report !== undefined && report.outcome === "delivered" && report.failure === null, report);

    const first = report.phases[0];
    assert(first?.name === "connect", report);
    // @ts-expect-error a phase that never ended has no time
    const time: number = first.time_ms;
    assert(time >= 0, report);
    const banner: number | undefined = report.metrics.banner_time;
    assert(banner !== undefined && banner > 0, report);

    // @ts-expect-error a check without TLS has no chain
    report.tls.chain;
    const names: string[] | undefined = report.tls?.chain[0]?.names;
    assert(names?.includes("localhost") === true, report);
    assert(report.capabilities.after_tls?.["AUTH"] !== undefined, report);
}

async function rejected(): Promise<void> {
    const body = { ...check, to: "nobody@sandbox.test" };
    const { data: report } = await client.POST("/v1/checks/smtp", { body });
    assert(report !== undefined && report.failure !== null, report);
    const kind: "rejected" | Exclude<Failure["kind"], "rejected"> = report.failure.kind;
    assert(kind === "rejected" && report.failure.phase === "rcptto", report);
    // @ts-expect-error no kind has this name
    assert(report.failure.kind !== "annoyed", report);
    assert(report.failure.code === 550 && report.failure.enhanced_code === "5.1.1", report);
}

async function invalid(): Promise<void> {
    // @ts-expect-error there is no such mechanism
    await client.POST("/v1/checks/smtp", { body: { to: "nobody", sasl_authentication: "digest-md5" } });
    const { error: problem } = await client.POST("/v1/checks/smtp", { body: { to: "nobody", port: 0 } });
    assert(problem?.type === "urn:smtp-check:problem:invalid-parameters", problem);
    const errors: Violation[] = problem.errors ?? [];
    assert(errors.map(({ pointer }) => pointer).join() === "/port,/to", problem);
}

async function unauthorized(): Promise<void> {
    const anonymous = createClient<paths, Json>({ baseUrl });
    const { error: problem, response } = await anonymous.POST("/v1/checks/smtp", { body: check });
    assert(response.status === 401 && problem?.type === "urn:smtp-check:problem:unauthorized", problem);
    const { data: version } = await anonymous.GET("/version");
    assert(version?.name === "smtp-check", version);
}

for (const one of [delivered, rejected, invalid, unauthorized]) await one();
console.log("the TypeScript client works");
