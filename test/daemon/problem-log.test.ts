import assert from 'node:assert/strict'
import test from 'node:test'
import { ProblemLog } from '../../src/daemon/problem-log.ts'
import { HeldClock } from '../support/held-clock.ts'
import { LogLines } from '../uploader/workbench.ts'

test('a problem is said once a reason, summed up every ten minutes, and told when it is over', async () => {
  const clock = new HeldClock()
  const log = new LogLines()
  const problems = new ProblemLog(log, clock)
  for (let seconds = 0; seconds < 1500; seconds += 5) {
    const reason = seconds % 10 === 0 ? 'refused' : `reset @ 0x${seconds}f`
    problems.report('Front', reason, { reason }, 'not recording')
    await clock.advance(5000)
  }
  assert.equal(log.count(/^WARNING not recording/), 2)
  assert.equal(log.count(/^WARNING still: not recording/), 2)
  assert.equal(problems.over('Front')?.tries, 300)
  assert.equal(problems.over('Front'), undefined)
})
