"""The pairs that Alpaca listed on 2026-09-18, as data: 73, every one with the same two steps."""

DATED = "2026-09-18"
PRICE_STEP = QUANTITY_STEP = "0.000000001"
NOT_FRACTIONABLE = frozenset({"SHIB/USDT"})

# Recorded from a live account that day: symbol, id, smallest order (worth about a dollar), name.
TABLE = """
BTC/USD    276e2673-764b-4ab6-a611-caf665ca6340 0.000013047      Bitcoin / US Dollar
ETH/USD    a1733398-6acc-4e92-af24-0d0667f78713 0.000407123      Ethereum / US Dollar
SOL/USD    9226ef75-ba41-4a4b-a1b4-96e1a1b818f0 0.009762764      Solana / US Dollar
XRP/USD    85cbcac6-e08c-4516-a635-ebbd6515ccd3 0.766283524      Ripple / US Dollar
DOGE/USD   03e005f7-4bfc-4616-b1b0-225dd64074fa 12.148645972     Dogecoin / US Dollar
LTC/USD    19c466e7-e8f7-43e0-a8c5-f17ec9f5de8d 0.018439977      Litecoin / US Dollar
BCH/USD    f0a05db3-5c93-4524-8a32-2f2b8d4f12fc 0.004224168      Bitcoin Cash / US Dollar
LINK/USD   faf30512-0c0d-4ff8-a7a0-169c747d1e9c 0.0869555        Chainlink / US Dollar
AVAX/USD   0515189d-1933-4a94-89ce-4e9a24356d58 0.130792338      Avalanche / US Dollar
DOT/USD    764fb9f4-14a1-4c93-bcf9-6a460029143d 0.90950432       Polkadot / US Dollar
UNI/USD    39d2df3b-4273-46a9-956d-c23634be1e38 0.125062531      Uniswap / US Dollar
AAVE/USD   8588af33-3a8e-4a09-bb6c-ba4226dc7aff 0.007647598      Aave / US Dollar
CRV/USD    0425de77-90d3-4ac9-b914-73423b4e42b8 3.081284279      Curve / US Dollar
GRT/USD    3e242d92-02c9-42d8-a2a1-e04f8b2f8860 53.333333333     The Graph / US Dollar
SUSHI/USD  ce414735-ba65-43c8-be76-7cb78ed2413d 4.413802844      SushiSwap / US Dollar
XTZ/USD    6a521dc8-c56b-4096-bb84-66e0db2d155d 4.007212983      Tezos / US Dollar
YFI/USD    9e853ba9-1eea-4226-8a39-c9995420e2c9 0.000476095      Yearn Finance / US Dollar
BAT/USD    50960a81-1ec0-45b8-89dc-d6d3ab92f894 13.695440787     Basic Attention Token / US Dollar
SHIB/USD   80d871ac-7a59-48b1-b71d-760d5a6876c6 192307.692307692 Shiba Inu / US Dollar
PEPE/USD   91c9fb26-c2f6-4199-bc01-2c37db5b592b 274725.274725274 Pepe / US Dollar
USDC/USD   38f8a0a4-399c-4f5a-8c0d-7435faef70d1 1.00050025       USDC/USD pair
USDT/USD   541b0d67-c2c7-4135-ac31-ff2aa6c0dd71 1.001562437      USD Tether / US Dollar
ADA/USD    d1848ab0-e70b-4880-af25-52f675666304 4.866180048      Cardano / US Dollar
ARB/USD    9ddb33d9-1672-4ee7-bdb2-4446bc356712 5.691519635      Arbitrum / US Dollar
BONK/USD   41d0839e-d106-4921-9e8e-570a52e1d4fd 367647.058823529 Bonk / US Dollar
FIL/USD    a00890a5-8b50-49c7-a748-07262dab98e2 1.228652168      Filecoin / US Dollar
HYPE/USD   4e0b00dc-6fb8-4493-bd68-10cca945195f 0.012051532      Hype / US Dollar
LDO/USD    9bc4ce5d-67fc-4896-8fb9-3bf6bac357b4 2.805836139      Lido DAO / US Dollar
ONDO/USD   2f39181e-40a2-48e7-80bc-e6cdd1092148 2.577073835      Ondo / US Dollar
PAXG/USD   5aa13ecc-3917-4f33-a282-66eb82903e10 0.000228895      Pax Gold / US Dollar
POL/USD    eeb5261c-cd9e-49c0-b435-071a401eda58 10.249051962     Polygon / US Dollar
RENDER/USD 2dc4a2f3-6113-42cc-b867-d9ba9fd56f1f 0.711237553      Render / US Dollar
SKY/USD    597a9cdb-a669-40b9-a008-d91688d23b08 17.464620826     Sky / US Dollar
TRUMP/USD  bc9e528e-1c7e-4049-9186-44f44b88d77e 0.544662309      Trump / US Dollar
USDG/USD   14e09ad6-a301-4e2f-8da9-de3cf45bf80a 1.00001          USDG/USD pair
WIF/USD    ebb4f302-ac72-4d3e-a801-b8391f426c95 5.398139801      dogwifhat / US Dollar
AAVE/USDC  73adad68-0e0e-45cb-9bcc-66135068cb4d 0.007944704      Aave / USD Coin
AVAX/USDC  b7b73bc2-e3bc-4b37-8fcf-4eac793027ef 0.141043723      Avalanche / USD Coin
BAT/USDC   72d88488-20b6-4fc2-a670-a8b706c86c4f 14.654161781     Basic Attention Token / USD Coin
BCH/USDC   9a3baaff-11b0-4428-a63c-f6e3340694e1 0.004109358      Bitcoin Cash / USD Coin
BTC/USDC   e88ec72e-9707-4aac-8e33-86291e5f2b4a 0.000012957      Bitcoin / USD Coin
CRV/USDC   dedf4e7b-3d95-4393-ab91-1181f0ed702e 2.737363645      Curve / USD Coin
DOGE/USDC  ff2ec3b7-b581-4a5f-8f75-a98a68ed8332 12.421789309     Dogecoin / USD Coin
DOT/USDC   ec294909-7421-4bcd-b991-e8de5a67ecab 1.188354129      Polkadot / USD Coin
ETH/USDC   30c8659a-9a9b-42c8-a093-2673ce98f875 0.000400605      Ethereum / USD Coin
GRT/USDC   b1365689-2b1b-4b84-a263-67d5c622728d 60.606060606     The Graph / USD Coin
LINK/USDC  e8e88d77-460f-466b-a076-88b298bed939 0.076607219      Chainlink / USD Coin
LTC/USDC   aa89f7ea-b30a-4ea4-a34c-1f58e7fef13c 0.020605386      Litecoin / USD Coin
SHIB/USDC  da533b7e-5b35-45ef-8ba8-4dd5d44978b8 200883.889112093 Shiba Inu / USD Coin
SOL/USDC   c25f5c78-25c3-4179-875b-b61e16ec8dcc 0.009866798      Solana/USD Coin
SUSHI/USDC 34bfd447-3a3f-4d03-b3f7-3bbbfd57c6ab 4.948045522      SushiSwap / USD Coin
UNI/USDC   84a8d30e-b945-4a76-b163-979dd14aa5e2 0.167254846      Uniswap / USD Coin
USDT/USDC  684a2cad-85c3-4e09-ac9d-b8893dd1e02f 0.992477024      USD Tether / USD Coin
XTZ/USDC   83932f5b-533e-4c69-876a-a120b0ae01c1 4.08830744       Tezos / USD Coin
YFI/USDC   94c9594d-610a-4235-9298-d9a552461a39 0.00045451       Yearn Finance / USD Coin
AAVE/USDT  dfb6d1da-427c-42b6-864d-f227af29e2e9 0.00761035       Aave / USD Tether
AVAX/USDT  da3ee262-cfed-4fef-8e63-13f87911704d 0.040273862      Avalanche / USD Tether
BCH/USDT   56272c8a-e888-4549-aa86-1779996f8bb2 0.003811411      Bitcoin Cash / USD Tether
BTC/USDT   c150e086-1e75-44e6-9c2c-093bb1e93139 0.000012603      Bitcoin / USD Tether
DOGE/USDT  7b4c3c70-b54b-4328-85fb-c24bdb45ef45 10.968640656     Dogecoin / USD Tether
ETH/USDT   08b74a3d-9046-4e8f-abbc-8af9f4e5cad7 0.000404601      Ethereum / USD Tether
LINK/USDT  b8c60aea-6346-42d9-a664-4a49405ddb30 0.078907914      Chainlink / USD Tether
LTC/USDT   77c6f47f-0939-4b23-b41e-47b4469c4bc8 0.017903019      Litecoin / USD Tether
SHIB/USDT  bce5b2e7-0678-4b81-9607-4a997471fc92 86880.973066898  Shib USD Tether
SOL/USDT   efc42aad-b8ee-4e2f-b0e7-875b6c734956 0.013650013      Solana / USD Tether
SUSHI/USDT 020f162d-9d1f-4ee2-8476-a0c4f592615e 4.205886558      SushiSwap / USD Tether
UNI/USDT   70ac93c5-7d32-4545-9f58-b03972f185a1 0.145866153      Uniswap / USD Tether
YFI/USDT   82bc6fef-5fb6-48b5-a42e-16a5cbf86c60 0.000377833      Yearn Finance / USD Tether
BCH/BTC    c9b6f16b-e88d-439f-bb0b-acecccab3d10 235.21663452     Bitcoin Cash / Bitcoin
ETH/BTC    47d0ce51-247b-483b-908a-b62dfbcb957e 36.390366742     Ethereum / Bitcoin
LINK/BTC   fa9b6855-0ed2-44d5-af2a-4aad84e77307 4835.589941972   Chainlink / Bitcoin
LTC/BTC    a9897852-02eb-444a-80fa-ff2a2d329643 113.170948112    Litecoin / Bitcoin
UNI/BTC    35b8e824-e0d2-4546-a9ec-02a8a301139f 5787.037037037   Uniswap / Bitcoin
"""

# Our own choice, of each coin: the step in which it is quoted here, and the price in dollars that a
# random walk starts from.
COINS = """
BTC    0.01        63930.50
ETH    0.01        1884.5
SOL    0.001       142.35
XRP    0.00001     2.1045
DOGE   0.000001    0.18235
LTC    0.01        86.4
BCH    0.01        498.2
LINK   0.001       14.215
AVAX   0.001       22.18
DOT    0.0001      4.125
UNI    0.0001      7.052
AAVE   0.01        262.4
CRV    0.00001     0.6612
GRT    0.00001     0.09541
SUSHI  0.0001      0.7124
XTZ    0.0001      0.624
YFI    0.1         5240.0
BAT    0.00001     0.1468
SHIB   0.000000001 0.000012845
PEPE   0.000000001 0.000010512
USDC   0.0001      1
USDT   0.0001      1.0001
ADA    0.00001     0.2055
ARB    0.00001     0.1757
BONK   0.000000001 0.00000272
FIL    0.0001      0.8139
HYPE   0.001       82.98
LDO    0.00001     0.3564
ONDO   0.00001     0.388
PAXG   0.01        4368.8
POL    0.00001     0.09757
RENDER 0.0001      1.406
SKY    0.000001    0.05726
TRUMP  0.0001      1.836
USDG   0.0001      1
WIF    0.00001     0.18525
"""
