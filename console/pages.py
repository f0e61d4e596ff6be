"""The addresses of the pages and their fragments."""

from django.urls import path

from .views import deliveries, endpoints, page, sending

urlpatterns = [
    path("", deliveries.index, name="console"),
    path("deliveries/rows/", deliveries.only_list, name="delivery-rows"),
    path("deliveries/rows/some/", deliveries.some, name="delivery-rows-some"),
    path("deliveries/<str:delivery_id>/", deliveries.show, name="delivery"),
    path("deliveries/<str:delivery_id>/detail/", deliveries.only_detail, name="delivery-detail"),
    path("deliveries/<str:delivery_id>/edit/", deliveries.edit, name="delivery-edit"),
    path("deliveries/<str:delivery_id>/curl/", deliveries.curl, name="delivery-curl"),
    path("deliveries/<str:delivery_id>/signed/", deliveries.signed, name="delivery-signed"),
    path("deliveries/<str:delivery_id>/body/<str:part>/", deliveries.body, name="delivery-body"),
    path("deliveries/<str:delivery_id>/act/<str:verb>/", deliveries.act, name="delivery-act"),
    path("send/", sending.send, name="send"),
    path("send/sample/", sending.sample, name="sample"),
    path("send/check/", sending.check, name="check-data"),
    path("send/format/", sending.format, name="format-data"),
    path("send/audience/", sending.who, name="audience"),
    path("send/endpoints/", sending.endpoints, name="send-endpoints"),
    path("send/reach/", sending.reach, name="reach"),
    path("send/receiver/", sending.receiver, name="receiver"),
    path("send/batch/<str:batch_id>/stop/", sending.stop, name="batch-stop"),
    path("endpoints/", endpoints.index, name="endpoints"),
    path("endpoints/new/", endpoints.create, name="endpoint-new"),
    path("endpoints/<str:endpoint_id>/", endpoints.show, name="endpoint"),
    path("endpoints/<str:endpoint_id>/edit/", endpoints.edit, name="endpoint-edit"),
    path("endpoints/<str:endpoint_id>/status/", endpoints.status, name="endpoint-status"),
    path("endpoints/<str:endpoint_id>/test/", endpoints.test, name="endpoint-test"),
    path("endpoints/<str:endpoint_id>/check/", endpoints.check, name="endpoint-check"),
    path("endpoints/<str:endpoint_id>/secret/", endpoints.secret, name="endpoint-secret"),
    path("endpoints/<str:endpoint_id>/rotate/", endpoints.rotate, name="endpoint-rotate"),
    path("endpoints/<str:endpoint_id>/delete/", endpoints.delete, name="endpoint-delete"),
    path("endpoints/<str:endpoint_id>/snippets/", endpoints.snippets, name="endpoint-snippets"),
    path("keys/", page.keys, name="keys"),
]
