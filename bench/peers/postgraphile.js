// PostGraphile 5 as its documentation sets it up for production, on the same tables. Prints "ready <port>".

import { createServer } from 'node:http'
import { grafserv } from 'postgraphile/grafserv/node'
import { makePgService } from 'postgraphile/adaptors/pg'
import { PostGraphileAmberPreset } from 'postgraphile/presets/amber'
import { postgraphile } from 'postgraphile'

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [
    makePgService({ connectionString: process.env.DATABASE_URL, schemas: ['public'], poolConfig: { max: 10 } })
  ],
  grafserv: { watch: false, graphiql: false },
  grafast: { explain: false }
})

const server = createServer()
await instance.createServ(grafserv).addTo(server)
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(`ready ${server.address().port}`))
