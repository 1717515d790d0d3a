import assert from 'node:assert/strict'
import test from 'node:test'
import { runChild, startChild } from '../../src/daemon/child.ts'

test('what a program says, and how it ends, is a value', async () => {
  const script = 'cat; echo oops >&2; exit 3'
  const { code, stdout, lines } = await runChild(['sh', '-c', script], {
    stdin: 'x',
    atMostMs: 5000,
  })
  assert.deepEqual([code, stdout, lines], [3, 'x', ['oops']])
})

test('a program that is missing is a value, too', async () => {
  const { code, lines } = await runChild(['no-such-program'], { atMostMs: 5000 })
  assert.equal(code, null)
  assert.match(lines.join(), /ENOENT/)
})

test('a program that hangs is ended, with its own children', async () => {
  const { timedOut, signal } = await runChild(['sh', '-c', 'sleep 600; true'], { atMostMs: 100 })
  assert.deepEqual([timedOut, signal], [true, 'SIGKILL'])
})

test('a program is ended when the signal aborts, and at once when it already has', async () => {
  const { signal } = await runChild(['sleep', '600'], { atMostMs: 60_000 }, AbortSignal.abort())
  assert.equal(signal, 'SIGKILL')
})

test('a grandchild that holds the pipes does not keep a child from having ended', async () => {
  const child = startChild(['sh', '-c', 'sleep 600 & echo $! ; exit 5'])
  let pid = ''
  child.outputs[0]?.on('data', (chunk: Buffer) => void (pid += chunk.toString()))
  const { code } = await child.ended
  process.kill(Number(pid), 'SIGKILL')
  assert.equal(code, 5)
})

test('a child sees none of our secrets in its environment', async () => {
  process.env.AWS_SECRET_ACCESS_KEY = 'canary'
  try {
    const { stdout } = await runChild(['env'], { atMostMs: 5000 })
    assert.match(stdout, /PATH=/)
    assert.doesNotMatch(stdout, /canary/)
  } finally {
    delete process.env.AWS_SECRET_ACCESS_KEY
  }
})

test('no line is lost of a program that writes far more than is read at once', async () => {
  const seen: string[] = []
  const child = startChild(
    ['sh', '-c', 'n=0; while [ $n -lt 20000 ]; do n=$((n+1)); echo line number $n >&2; done'],
    {
      onLine: (line) => seen.push(line) > 0,
    },
  )
  const { lines } = await child.ended
  assert.deepEqual(
    [seen.length, seen[0], lines.at(-1)],
    [20_000, 'line number 1', 'line number 20000'],
  )
})

test('no line is lost where this process gets no time when the program ends', async (t) => {
  const [slow, atOnce] = [5000, 3000]
  let seen = 0
  // Many small pieces, so that they are gathered, and the rest while that goes on.
  const many = `n=0; while [ $n -lt ${slow} ]; do n=$((n+1)); echo line number $n >&2; done`
  const script = `${many}; seq ${atOnce} >&2`
  const child = startChild(['sh', '-c', script], { onLine: () => (seen += 1) > 0 })
  const timer = setInterval(() => {
    if (isThere(child.pid)) return
    clearInterval(timer)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500)
  }, 1)
  t.after(() => clearInterval(timer))
  await child.ended
  assert.equal(seen, slow + atOnce)
})

function isThere(pid = 0): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
