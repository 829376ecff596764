import time, base64, pytest
from tests.graphql_client import *
from tests.graphql_client import SEED

@pytest.fixture
async def office(database_url, servers):
    t=time.perf_counter()
    async with running_office(settings_for(database_url, servers)) as office:
        print('start', time.perf_counter()-t)
        await seed(office.database)
        yield office
        t=time.perf_counter()
    print('stop', time.perf_counter()-t)

async def test_it(office):
    W = await workstation_ids(office.database); E = await employee_ids(office.database)
    async def show(role, q, v=None, **h):
        t=time.perf_counter()
        r = await office.post(role, q, v, **h)
        print(q[:90], '->', r.status_code, r.text[:700], f'{1000*(time.perf_counter()-t):.1f} ms\n')
    await show('admin', '{workstations{nodes{__typename id name}}}')
    await show('admin', '{nodes(ids:["%s","%s"]){id ... on Workstation{name} ... on Employee{name employeeNumber} ... on Floor{number cursor}}}' % (W['A-01'], E['张伟']))
    await show('visitor', '{floors{number workstations{id xPosition}}}')
    await show('admin', '{floors{number cursor workstations{id xPosition}}}')
    await show('admin', '{')
    await show('admin', 'mutation{createWorkstation(input:{name:"x",xPosition:1,yPosition:1,building:"%s",floorNumber:1}){__typename ... on Refusal{code message}}}' % ('b'*60))
    await show('admin', 'mutation{createWorkstation(input:{name:"x",xPosition:1,yPosition:1,building:"\\u0000",floorNumber:1}){__typename ... on Refusal{code message}}}')
    await show('admin', 'mutation{createWorkstation(input:{name:"x",xPosition:99999999.999,yPosition:1}){__typename ... on Refusal{code message}}}')
    await show('admin', 'mutation{createWorkstation(input:{name:"x",xPosition:1,yPosition:1}){__typename ... on Refusal{code message} ... on WorkstationChanged{receipt workstation{id name xPosition version}}}}', idempotency_key='k'*300)
    await show('admin', 'mutation{createWorkstation(input:{name:"x",xPosition:1,yPosition:1}){__typename ... on Refusal{code message} ... on WorkstationChanged{receipt workstation{id name xPosition version}}}}', idempotency_key='k')
    await show('admin', 'mutation{createWorkstation(input:{name:"x",xPosition:1,yPosition:1}){__typename ... on Refusal{code message} ... on WorkstationChanged{receipt workstation{id name xPosition version}}}}', idempotency_key='k')
    await show('admin', 'mutation($i:CreateWorkstationInput!){createWorkstation(input:$i){__typename ... on Refusal{code message} ... on WorkstationChanged{receipt workstation{id name xPosition version}}}}', {'i':{'name':'y','xPosition':1,'yPosition':2,'equipment':{'a':[1,None,'\0']}}}, idempotency_key='k2')
    await show('admin', '{workstation(id:"%s"){id}}' % base64.b64encode(b'Workstation:0000000000099999999999').decode())
    await show('admin', '{workstation(id:"%s"){id}}' % base64.b64encode(b'Workstation:'+b'0'*5000).decode())
    await show('admin', '{node(id:"%s"){id}}' % base64.b64encode(b'Building:1').decode())
    await show('admin', 'query($f:WorkstationFilter){workstations(filter:$f, first:501){totalCount}}', {'f':{'statuses':['OCCUPIED']}})
    await show('admin', 'query($f:[WorkstationStatus!]){workstations(filter:{statuses:$f}){totalCount}}', {'f':['OCCUPIED']})
    await show('admin', '{workstations(filter:{ids:[]}){totalCount}}')
    await show('admin', '{workstations(filter:{building:"\\u0000"}){totalCount}}')
    await show('admin', '{workstations(filter:{employeeNumber:"\\u0000"}){totalCount}}')
    await show('admin', '{floor(building:"\\u0000", number: 1){id}}')
    await show('admin', '{employees(first:1){edges{cursor node{name}} pageInfo{hasNextPage hasPreviousPage}}}')
    await show('admin', '{workstationStats(groupBy:FLOOR){key total available}}')
    await show('admin', '{me{subject roles scopes employee{name} employeeNumber}}')
    async with office.socket('visitor') as s:
        s.subscribe('subscription{workstationChanges{kind workstations{id name xPosition} removed cursor}}')
        print(await s.payload())
        await office.sql("UPDATE workstations SET name='A-09' WHERE name='A-01'")
        print(await s.payload())
