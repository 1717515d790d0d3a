import test from 'node:test'
import { seedOf } from '../support/seeded-random.ts'
import { RandomDay } from './random-day.ts'

test('a few things that happen at random lose no file, and all arrive in S3, once', async (t) => {
  const day = await RandomDay.start(t, seedOf(t))
  for (let steps = 0; steps < 5; steps += 1) {
    await day.step()
    await day.assertKept()
  }
  await day.assertArrives()
  t.diagnostic(`${day.finished} files, ${day.kills} kills: ${day.events.join(', ')}`)
})
