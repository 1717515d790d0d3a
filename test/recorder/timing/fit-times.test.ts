import assert from 'node:assert/strict'
import test from 'node:test'
import { fitTimes } from '../../../src/recorder/timing/fit-times.ts'
import { arrivalsOf, simulateFrames, type Scene } from './simulated-run.ts'

test('nothing is fitted to frames of which no arrival is known', () => {
  assert.deepEqual(fitTimes([], []).knots, [])
  assert.deepEqual(fitTimes([1, 2, 3], []).knots, [])
  assert.deepEqual(fitTimes([1, 2, 3], [{ at: 5, index: 7 }]).knots, [])
})

test('a camera with a steady clock takes few knots, however its network jitters', () => {
  for (const jitter of [0, 0.02, 0.1]) {
    const simulated = simulateFrames({ jitter }, 'by picture')
    const times = fitTimes(
      simulated.frames.map(({ stamp }) => stamp),
      arrivalsOf(simulated),
    )
    assert.equal(times.by, 'stamp')
    assert.ok(times.knots.length <= 4, JSON.stringify(times.knots))
  }
})

const doubtful: [title: string, scene: Scene, from: number | undefined][] = [
  [
    'what comes behind a wait may have been delayed, or not',
    { isMissing: (at) => at > 10 && at < 19, stamp: (at) => (at < 15 ? at : at - 9), seconds: 21 },
    19,
  ],
  ['a delay that was made up for is none', { hold: { from: 5, until: 9 }, seconds: 30 }, undefined],
  [
    'a slow catching-up is waited for',
    { hold: { from: 5, until: 15, speed: 1.2 }, seconds: 40 },
    5,
  ],
]
for (const [title, scene, from] of doubtful)
  test(`frames whose times can't be told yet are known: ${title}`, () => {
    const simulated = simulateFrames(scene, 'by timer')
    const { frames } = simulated
    const times = fitTimes(
      frames.map(({ stamp }) => stamp),
      arrivalsOf(simulated),
    )
    const at = times.unsettledFrom === undefined ? undefined : frames[times.unsettledFrom]?.taken
    if (from === undefined) assert.equal(at, undefined)
    else assert.ok(Math.abs((at ?? NaN) - from) < 0.3, String(at))
  })
