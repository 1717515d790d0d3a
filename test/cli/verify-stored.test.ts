import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import test from 'node:test'
import { verifiedText } from '../../src/cli/coverage-text.ts'
import { StoredFootage } from '../../src/cli/stored-footage.ts'
import { verifyStored } from '../../src/cli/verify-stored.ts'
import { never, openWorkbench, padded, settingsFor } from '../uploader/workbench.ts'

const folder = 'recordings/2025/01/25'
const names = [0, 1, 2, 3, 4].map((n) => `Front_20250125_15300${n}.mp4`)

/** Five files in a store, and what the ledger says of them. */
async function fiveStored(t: Parameters<typeof openWorkbench>[0], pageKeys: number) {
  const bench = await openWorkbench(t, { pageKeys })
  for (const [index, name] of names.entries()) {
    const path = await bench.record(name)
    await padded(path, 400_000 + index)
    assert.equal((await bench.ship(path)).why, 'shipped')
  }
  const lines = await bench.ledger.linesOn('2025-01-25')
  const stored = new StoredFootage(settingsFor(bench.server))
  const verify = async () => verifyStored(lines, stored, never)
  const differences = async () =>
    (await verify()).differences.map(({ line, text }) => [line.key, text])
  return { ...bench, lines, stored, verify, differences }
}

for (const pageKeys of [2, 1000])
  test(`what is missing in a bucket, or differs, is found in its listing, ${pageKeys} keys a page`, async (t) => {
    const { server, differences } = await fiveStored(t, pageKeys)
    assert.deepEqual(await differences(), [])
    const [, second, third, fourth] = names.map((name) => `${folder}/${name}`)
    const [small, same] = [server.objects.get(third ?? ''), server.objects.get(fourth ?? '')]
    assert.ok(second && small && same)
    server.objects.delete(second)
    small.bytes = 7
    same.etag = 'another'
    assert.deepEqual(await differences(), [
      [second, 'is missing'],
      [third, 'has 7 bytes instead of 400002'],
      [fourth, 'was replaced by something else of that size'],
    ])
  })

test('where listing is denied each object is asked for; where all is, that is said', async (t) => {
  const { server, verify, differences } = await fiveStored(t, 1000)
  const denied = { code: 'AccessDenied', status: 403 }
  server.options.refuse = ({ key }) => (key === '' ? denied : undefined)
  server.objects.delete(`${folder}/${names[4]}`)
  assert.deepEqual(await differences(), [[`${folder}/${names[4]}`, 'is missing']])
  server.options.refuse = () => denied
  const { files, unseen } = await verify()
  assert.deepEqual([files, unseen.map((it) => it.files)], [0, [5]])
  assert.match(unseen[0]?.why ?? '', /^footage: AccessDenied.*allow s3:GetObject/)
})

test('a store that cannot be asked is asked once, and what it was not asked for is no difference', async (t) => {
  const { server, lines, stored } = await fiveStored(t, 1000)
  const elsewhere = lines.map((line) => ({ ...line, key: line.key.replace('/25/', '/26/') }))
  server.options.refuse = () => ({ code: 'InvalidAccessKeyId', status: 403 })
  const before = server.requests.length
  const verified = await verifyStored([...lines, ...elsewhere], stored, never)
  const folders = server.requests.slice(before).map(({ query }) => query.get('prefix'))
  assert.equal(folders.filter((prefix) => prefix !== null).length, 1)
  assert.deepEqual(verified.differences, [])
  assert.match(
    verifiedText(verified),
    /^\n✗ 10 files could not be looked at: footage: InvalidAccessKeyId.*AWS_ACCESS_KEY_ID\.\)\n$/,
  )
})

test('what is saved is what was uploaded, or nothing is', async (t) => {
  const { server, lines, stored, folders } = await fiveStored(t, 1000)
  const [line] = lines
  assert.ok(line)
  const target = `${folders.tmp}/saved.mp4`
  await assert.rejects(
    stored.save({ ...line, crc32: '00000000' }, target, never),
    /is not what was uploaded/,
  )
  await stored.save(line, target, never)
  assert.deepEqual(await readFile(target), await server.content(line.key))
  assert.deepEqual(await readdir(folders.tmp), ['saved.mp4'])
})
