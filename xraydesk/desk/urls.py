"""Every page of the desk."""

from __future__ import annotations

from django.urls import URLPattern, path

from xraydesk.desk.views import attention, exam, image, live, messages, reads, rooms, search, signing, triage

urlpatterns: list[URLPattern] = [
    path("sign-in", signing.sign_in_page, name="sign-in"),
    path("sign-out", signing.sign_out, name="sign-out"),
    path("about/intended-use", signing.intended_use, name="intended-use"),
    path("live", live.live, name="live"),
    path("attention", attention.attention, name="attention"),
    path("attention/<int:item_id>/done", attention.item_done, name="item-done"),
    path("attention/<int:item_id>/undone", attention.item_undone, name="item-undone"),
    path("triage", triage.triage_page, name="triage"),
    path("triage/<str:accession>/accept", triage.accept, name="triage-accept"),
    path("triage/<str:accession>/hold", triage.hold, name="triage-hold"),
    path("triage/<str:accession>/cancel", triage.cancel_exam, name="triage-cancel"),
    path("triage/<str:accession>/amend", triage.amend, name="triage-amend"),
    path("exams/<str:accession>", exam.exam_page, name="exam"),
    path("exams/<str:accession>/note", triage.note, name="exam-note"),
    path("exams/<str:accession>/check", rooms.check_exam, name="exam-check"),
    path("exams/<str:accession>/end", exam.end, name="exam-end"),
    path("exams/<str:accession>/discontinue", exam.discontinue, name="exam-discontinue"),
    path("exams/<str:accession>/release-images", exam.release_images, name="images-release"),
    path("patients/<int:patient_id>", exam.patient_page, name="patient"),
    path("images/<int:image_id>", image.image_page, name="image"),
    path("images/<int:image_id>/belongs", image.belongs, name="image-belongs"),
    path("images/<int:image_id>/reject", image.reject, name="image-reject"),
    path("images/<int:image_id>/send-again", image.send_again, name="image-send-again"),
    path("rooms", rooms.rooms, name="rooms"),
    path("rooms/<str:code>", rooms.room_page, name="room"),
    path("rooms/<str:code>/take", rooms.take_here, name="room-take"),
    path("rooms/<str:code>/state", rooms.state, name="room-state"),
    path("rooms/<str:code>/note", rooms.note, name="room-note"),
    path("search", search.search, name="search"),
    path("messages", messages.messages_page, name="messages"),
    path("messages/<int:message_id>", messages.message_page, name="message"),
    path("messages/<int:message_id>/replay", messages.replay, name="message-replay"),
    path("reads", reads.reads_page, name="reads"),
]
