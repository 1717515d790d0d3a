import type { TestContext } from 'node:test'

/** Local time is of a zone, until the end of the test. */
export function inZone(t: TestContext, zone: string): void {
  const before = process.env.TZ
  process.env.TZ = zone
  t.after(() => {
    if (before === undefined) delete process.env.TZ
    else process.env.TZ = before
  })
}
