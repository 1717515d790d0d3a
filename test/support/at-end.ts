import type { TestContext } from 'node:test'

type Act = () => Promise<void> | void

const acts = new WeakMap<TestContext, Act[]>()

/**
 * Does something when the test has ended, however it ended: what was begun last ends first, and
 * everything ends, whatever fails (of hooks of `t.after`, none is run behind one that fails).
 */
export function atEnd(t: TestContext, act: Act): void {
  const known = acts.get(t)
  if (known) return void known.unshift(act)
  const list = [act]
  acts.set(t, list)
  t.after(async () => {
    const failures: unknown[] = []
    for (const end of list) {
      try {
        await end()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join('\n'))
    if (failures.length > 0) throw failures[0]
  })
}
