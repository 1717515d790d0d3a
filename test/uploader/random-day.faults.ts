import { describe, test } from 'node:test'
import { seedOf } from '../support/seeded-random.ts'
import { RandomDay } from './random-day.ts'

describe('on a day on which anything may happen', { concurrency: 3 }, () => {
  for (const day of ['one', 'another', 'a third'])
    test(`what was finished is always here or in S3, and nothing unproven is pruned: ${day}`, async (t) => {
      const random = await RandomDay.start(t, seedOf(t))
      for (let steps = 0; steps < 80; steps += 1) {
        await random.step()
        await random.assertKept()
      }
      await random.assertArrives()
      t.diagnostic(`${random.finished} files, ${random.kills} kills: ${random.events.join(', ')}`)
    })
})
